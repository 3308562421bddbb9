import { useEffect, useRef } from 'preact/hooks';

/** Gives the focus to the screen, so that the next Tab goes on there. */
export function focusContent(): void {
  contentOf()?.focus();
}

function contentOf(): HTMLElement | null {
  return document.querySelector('#content');
}

/** Gives the focus to the screen when news takes away or disables the part of the screen that has the focus. */
export function useFocusKeeper(): void {
  useEffect(() => {
    const content = contentOf();
    if (content === null) return;
    let newest: Element | undefined;
    const note = ({ target }: FocusEvent): void => void (newest = target as Element);
    const keep = (): void => {
      const { activeElement } = document;
      if (newest === undefined || (activeElement !== document.body && activeElement !== newest)) return;
      if (!newest.isConnected || newest.matches(':disabled')) content.focus({ preventScroll: true });
    };
    const observer = new MutationObserver(keep);
    observer.observe(content, { childList: true, subtree: true, attributeFilter: ['disabled'] });
    content.addEventListener('focusin', note);
    return () => {
      observer.disconnect();
      content.removeEventListener('focusin', note);
    };
  }, []);
}

/** A command may have taken away the button that had the focus before the dialog: the screen has the focus then. */
export function useFocusAfterDialog(isOpen: boolean): void {
  const wasOpen = useRef(isOpen);
  useEffect(() => {
    if (wasOpen.current && !isOpen && document.activeElement === document.body) focusContent();
    wasOpen.current = isOpen;
  }, [isOpen]);
}
