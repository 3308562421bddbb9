// The web UI: finds out how the page may ask the controller, and shows the screen in the address.

import { render } from 'preact';
import { App } from './app.tsx';

render(<App />, document.querySelector('#app')!);
