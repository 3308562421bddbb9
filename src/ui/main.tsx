// The web UI: finds out how it may ask, and shows the screen that the address names.

import { render } from 'preact';
import { App } from './app.tsx';

render(<App />, document.querySelector('#app')!);
