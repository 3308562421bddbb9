// The screen of a person who is not signed in.

import type { ComponentChildren } from 'preact';
import { useState } from 'preact/hooks';
import type { ApiAccess } from '../live/api-access.ts';
import { signIn } from '../live/sign-in.ts';
import { useText } from '../parts/context.ts';

export function ClosedScreen({ again = false }: { readonly again?: boolean }): ComponentChildren {
  const { signIn: text } = useText();
  return (
    <div class="alone">
      <h1>{text.closedTitle}</h1>
      <p>{again ? text.again : text.closed}</p>
      {again && (
        <button type="button" class="primary" onClick={() => location.reload()}>
          {text.submit}
        </button>
      )}
    </div>
  );
}

interface SignInProps {
  readonly signedIn: (access: ApiAccess) => void;
}

export function SignInScreen({ signedIn }: SignInProps): ComponentChildren {
  const { signIn: text } = useText();
  const [token, setToken] = useState('');
  const [refusal, refuse] = useState<'unknown' | 'silent'>();
  const submit = async (): Promise<void> => {
    const access = await signIn(token === '' ? undefined : token);
    if (typeof access === 'string') refuse(access);
    else signedIn(access);
  };
  return (
    <main class="alone">
      <h1>{text.title}</h1>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          void submit();
        }}
      >
        <label for="token">{text.token}</label>
        <input
          id="token"
          type="password"
          autoComplete="off"
          value={token}
          aria-describedby="token-say"
          onInput={(event) => setToken(event.currentTarget.value.trim())}
        />
        <p id="token-say">{text.say}</p>
        {refusal !== undefined && <p role="alert">{text[refusal]}</p>}
        <button type="submit" class="primary">
          {text.submit}
        </button>
      </form>
    </main>
  );
}
