// A command: a button that says what it would do, and does it when the person agrees.

import type { ComponentChildren } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import type { PreviewAnswer } from '../live/answers.ts';
import { ApiError } from '../live/api-access.ts';
import type { Command } from './command.ts';
import { useLive, useText, useUi } from './context.ts';
import { DiffView } from './diff-view.tsx';

/** The page owns the dialog, so the dialog stays when the command removes its own button. */
export function CommandButton({ command }: { readonly command: Command }): ComponentChildren {
  const { ask } = useUi();
  const reason = useRefusal()(command);
  return (
    <button type="button" disabled={reason !== undefined} title={reason} onClick={() => ask(command)}>
      {command.label}
    </button>
  );
}

/** Commands side by side; below them stands why some cannot be given, for those who see no title of a button. */
export function CommandButtons({ commands }: { readonly commands: readonly Command[] }): ComponentChildren {
  const refusal = useRefusal();
  const reasons = new Set(commands.flatMap((command) => refusal(command) ?? []));
  return (
    <>
      <p class="buttons">
        {commands.map((command) => (
          <CommandButton key={command.label} command={command} />
        ))}
      </p>
      {[...reasons].map((reason) => (
        <p key={reason} class="soft">
          {reason}
        </p>
      ))}
    </>
  );
}

/** Says why a person cannot give a command; undefined: the person can. */
function useRefusal(): (command: Command) => string | undefined {
  const { command: text } = useText();
  const mayWrite = useLive().state.hello?.principal.role === 'write';
  return ({ impossible }) => (mayWrite ? impossible : text.readerMayNot);
}

type Step =
  | { readonly step: 'asking' }
  | { readonly step: 'shown'; readonly preview: PreviewAnswer; readonly diff: string | undefined }
  | { readonly step: 'doing' }
  | { readonly step: 'done'; readonly commits: readonly string[]; readonly skipped: Skipped }
  /** A command that removes all interfaces of the node needs a second confirmation. */
  | { readonly step: 'takesAll' }
  | { readonly step: 'failed'; readonly message: string };

type Skipped = PreviewAnswer['skipped'];

interface DialogProps {
  readonly command: Command;
  readonly close: () => void;
}

export function CommandDialog({ command, close }: DialogProps): ComponentChildren {
  const text = useText();
  const { access } = useUi();
  const dialog = useRef<HTMLDialogElement>(null);
  const [step, setStep] = useState<Step>({ step: 'asking' });
  const failed = (error: unknown): void =>
    setStep(
      error instanceof ApiError && error.code === 'TakesAllInterfaces'
        ? { step: 'takesAll' }
        : { step: 'failed', message: (error as Error).message },
    );
  useEffect(() => {
    dialog.current?.showModal();
    const ask = async (): Promise<void> => {
      const preview =
        command.preview === false
          ? { nodes: [], skipped: [] }
          : await access.post<PreviewAnswer>(command.path, { ...command.body, dryRun: true });
      const diff = command.diffPath && (await access.get<{ diff: string }>(command.diffPath)).diff;
      setStep({ step: 'shown', preview, diff });
    };
    ask().catch(failed);
  }, []);
  const act = (more: object = {}): void => {
    setStep({ step: 'doing' });
    access
      .post<Moved | undefined>(command.path, { ...command.body, ...more })
      .then(
        (moved) => setStep({ step: 'done', commits: commitsOf(moved), skipped: moved?.skipped ?? [] }),
        failed,
      );
  };
  return (
    <dialog ref={dialog} aria-labelledby="command-title" onClose={close}>
      <h2 id="command-title">{command.label}</h2>
      <div role="status">
        <StepView step={step} previewed={command.preview !== false} />
      </div>
      <p class="buttons">
        <button type="button" onClick={() => dialog.current?.close()}>
          {step.step === 'done' || step.step === 'failed' ? text.command.close : text.command.cancel}
        </button>
        {(step.step === 'shown' || step.step === 'doing') && (
          <button
            type="button"
            class="primary"
            disabled={step.step === 'doing' || (step.preview.nodes.length === 0 && command.preview !== false)}
            onClick={() => act()}
          >
            {command.label}
          </button>
        )}
        {step.step === 'takesAll' && (
          <button type="button" class="danger" onClick={() => act({ yes: true })}>
            {text.command.takeAll}
          </button>
        )}
      </p>
    </dialog>
  );
}

function StepView({
  step,
  previewed,
}: {
  readonly step: Step;
  readonly previewed: boolean;
}): ComponentChildren {
  const text = useText();
  const { access } = useUi();
  const principal = useLive().state.hello?.principal.name ?? '';
  switch (step.step) {
    case 'asking':
      return <p>{text.command.asking}</p>;
    case 'doing':
      return <p>{text.command.doing}</p>;
    case 'takesAll':
      return <p class="trouble">{text.command.takesAll}</p>;
    case 'failed':
      return <p class="trouble">{step.message}</p>;
    case 'done':
      return (
        <>
          <p>
            {text.command.done} {step.commits.length > 0 && <code>{step.commits.slice(0, 3).join(' ')}</code>}
          </p>
          {step.skipped.length > 0 && (
            <ul class="preview">
              <SkippedNodes skipped={step.skipped} />
            </ul>
          )}
        </>
      );
    case 'shown':
      return (
        <>
          {previewed && <Preview preview={step.preview} />}
          {!previewed && <p>{text.command.changesNothing}</p>}
          {step.diff !== undefined && (
            <DiffView diff={step.diff} left={text.diff.now} right={text.diff.after} />
          )}
          {previewed && (
            <p>
              <small>{text.command.by(access.author?.name ?? principal, principal)}</small>
            </p>
          )}
        </>
      );
  }
}

/** Largest number of nodes that a preview names. */
const MAX_SHOWN = 50;

function Preview({ preview: { nodes, skipped } }: { readonly preview: PreviewAnswer }): ComponentChildren {
  const text = useText();
  if (nodes.length + skipped.length === 0) return <p>{text.command.nothing}</p>;
  return (
    <>
      <p>{nodes.length === 0 ? text.command.nothing : text.command.would(nodes.length)}</p>
      <ul class="preview">
        {nodes.slice(0, MAX_SHOWN).map(({ node, change }) => (
          <li key={node}>
            <b>{node}</b> {change}
          </li>
        ))}
        {nodes.length > MAX_SHOWN && <li>{text.command.more(nodes.length - MAX_SHOWN)}</li>}
        <SkippedNodes skipped={skipped} />
      </ul>
    </>
  );
}

function SkippedNodes({ skipped }: { readonly skipped: Skipped }): ComponentChildren {
  const text = useText();
  return (
    <>
      {skipped.slice(0, MAX_SHOWN).map(({ node, reason }) => (
        <li key={node} class="skipped">
          <b>{node}</b> {text.command.skipped(reason)}
        </li>
      ))}
      {skipped.length > MAX_SHOWN && <li>{text.command.more(skipped.length - MAX_SHOWN)}</li>}
    </>
  );
}

interface Moved {
  readonly commit?: string;
  readonly moved?: readonly { readonly commit?: string }[];
  readonly skipped?: Skipped;
}

function commitsOf(moved: Moved | undefined): string[] {
  const all = [moved?.commit, ...(moved?.moved ?? []).map(({ commit }) => commit)];
  return all.flatMap((commit) => commit?.slice(0, 10) ?? []);
}
