import { rows } from './reason-rows.ts';

/** Errors of the store, of its git and of its HTTP server. */
export const STORE_REASONS = {
  ...rows('itself', 'operator', {
    DiskFull: [
      'A disk is full.',
      'Make room; the controller then goes on.',
      { http: 507, concerns: 'store' },
    ],
    GitKilled: ['git was killed.', 'If it stays: look at the memory of the machine.'],
    Locked: [
      'Another process holds the lock of the store.',
      'Find it with fuser.',
      { http: 503, concerns: 'store' },
    ],
    Timeout: ['git did not end in time.', 'Look at the load and the disk.'],
  }),
  ...rows('itself', 'nobody', {
    Busy: ['Too much is asked at once, or the first pass is under way.', 'Ask again.', { http: 503 }],
    LostRace: ['A ref moved meanwhile.', 'Read it and decide anew.', { http: 409 }],
    StoreClosed: ['The store was closed meanwhile.', 'Nothing.', { concerns: 'store' }],
  }),
  ...rows('person', 'operator', {
    Corrupt: ['The store is damaged.', 'Run git fsck, then restore a backup.'],
    Fenced: ['Another controller took the store over.', 'Run only one.', { http: 503, concerns: 'store' }],
    GitFailed: ['git failed.', 'Look at the log.'],
    GitMissing: ['git is not installed.', 'Install git (2.39 or later), util-linux and findutils.'],
    InvalidBackup: ['The file is no backup that can be restored.', 'Use another backup.'],
    NoStore: ['The folder is no store.', "Name the store's folder, or its home with -C."],
    NotWritable: ['The backup cannot be written.', 'Name a file in a folder that you may write.'],
    StoreExists: ['There is a store already.', 'Restore into a new folder, or use --force.'],
    StoreUnreadable: ['git cannot read the store.', 'Check git and the folder.', { concerns: 'store' }],
  }),
  ...rows('never', 'caller', {
    BadRequest: ['The request cannot be understood.', 'Correct it as the message says.', { http: 400 }],
    Forbidden: ['The token may not do this.', 'Use a token with the role.', { http: 403 }],
    InvalidRequest: ['A field of the request is invalid.', 'Correct the named field.', { http: 400 }],
    MethodNotAllowed: ['The path takes other methods.', 'Use one of those.', { http: 405 }],
    NotFound: ['There is no such thing here.', 'Correct the name, path or URL.', { http: 404 }],
    PayloadTooLarge: ['The body is too large.', 'Send less at once.', { http: 413 }],
    Unauthorized: ['The token is missing or not known.', 'Use a token of this store.', { http: 401 }],
    UnsupportedEncoding: ['The encoding of the body is unknown.', 'Send gzip, or none.', { http: 415 }],
  }),
  ...rows('never', 'defect', {
    Internal: ['An error that nobody expected.', 'Look at the log, and report it.', { http: 500 }],
    InvalidBatch: ['A write of the controller is no valid batch.', 'Report it, with the log.'],
  }),
};
