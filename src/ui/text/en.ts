// The words of the screens in English. `ko.ts` has the same in Korean.

const count = (n: number, one: string, many: string): string =>
  `${n.toLocaleString('en')} ${n === 1 ? one : many}`;

export const en = {
  language: 'English',
  nav: {
    attention: 'Attention',
    fleet: 'Fleet',
    history: 'History',
    label: 'Screens',
    skip: 'Skip to the content',
  },
  link: {
    connecting: 'connecting',
    live: 'live',
    lost: 'connection lost, trying again',
    closed: 'no longer signed in',
    stale: (age: string) => `not live: as of ${age} ago`,
    failing: 'passes of the controller fail',
    loading: (have: number, total: number) =>
      `reading ${have.toLocaleString('en')} of ${total.toLocaleString('en')}`,
  },
  settings: {
    theme: 'Theme',
    light: 'Light',
    dark: 'Dark',
    auto: 'As the system',
    language: 'Language',
    signedIn: (name: string) => `signed in as ${name}`,
    mayWrite: 'may give commands',
    mayRead: 'may only look',
    author: 'Commits name',
    where: 'Controller',
    title: 'Settings',
  },
  signIn: {
    title: 'Sign in',
    token: 'Token',
    say: 'A token of the controller. It stays in this window and is kept nowhere.',
    submit: 'Sign in',
    unknown: 'The controller does not know this token.',
    closedTitle: 'This window is not signed in',
    closed:
      'The link of multinic ui works once, in one browser. Run multinic ui again, and open what it prints.',
    again: 'Your right to look is over, or the controller forgot you. Sign in again.',
  },
  states: { Configured: 'Configured', InProgress: 'In progress', Pending: 'Pending', Failed: 'Failed' },
  flags: { held: 'held', paused: 'paused', drifted: 'drifted', behind: 'not applied' },
  fleet: {
    title: 'Fleet',
    search: 'Search by name, ID, CR, reason, address',
    all: 'All',
    nodes: (n: number) => count(n, 'node', 'nodes'),
    of: (n: number, total: number) => `${n.toLocaleString('en')} of ${count(total, 'node', 'nodes')}`,
    node: 'Node',
    state: 'State',
    reason: 'Reason',
    flags: 'Flags',
    desired: 'Desired',
    applied: 'Applied',
    observed: 'Observed',
    processed: 'Last run',
    config: 'CR',
    none: 'No node matches.',
    empty: 'No CR names a node yet.',
    clear: 'Clear the filter',
    sortBy: (column: string) => `Sort by ${column}`,
    needsPerson: 'needs a person',
    never: 'never',
    filter: 'Filter',
  },
  time: {
    now: 'just now',
    seconds: (n: number) => `${n} s`,
    minutes: (n: number) => `${n} min`,
    hours: (n: number) => `${n} h`,
    days: (n: number) => `${n} d`,
    ago: (age: string) => `${age} ago`,
  },
};

export type Texts = typeof en;
