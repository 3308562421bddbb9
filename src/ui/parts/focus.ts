import type { RefObject } from 'preact';
import { useLayoutEffect } from 'preact/hooks';

/** Gives the focus to the screen, so that the next Tab goes on there. */
export function focusContent(): void {
  document.querySelector<HTMLElement>('#content')?.focus();
}

/** Gives the focus of an element to the screen when the element goes away or cannot have the focus any more. */
export function useFocusGuard(element: RefObject<HTMLElement | null>, isOut: boolean): void {
  const leave = (): void => {
    if (element.current !== null && document.activeElement === element.current) focusContent();
  };
  useLayoutEffect(() => {
    if (isOut) leave();
  }, [isOut]);
  useLayoutEffect(() => leave, []);
}
