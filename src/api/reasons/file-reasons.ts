import { rows } from './reason-rows.ts';

/** Problems of the files of a node's branch, and of a push. */
export const FILE_REASONS = {
  ...rows('commit', 'pusher', {
    FileTooLarge: ['A file of the branch is too large.', 'Write one interface a file.', { concerns: 'tip' }],
    ForeignKey: ['A file has a key that is none of ours.', 'Remove the key.'],
    ForeignValue: ['A key has a value that we do not write.', 'Write the value that the message names.'],
    HiddenCharacter: [
      'A file has a character that editors do not show.',
      'Remove it, and type the line anew.',
    ],
    InvalidEthernets: ['A netplan file has not exactly one NIC.', 'Write one file a NIC.'],
    InvalidLine: ['A line is not KEY=value.', 'Write it without blanks and quotes, each key once.'],
    InvalidNetplanId: ['A netplan ID is none that we write.', 'Write the ID that the message names.'],
    InvalidNode: ['node.yaml is invalid.', 'Restore it from the commit before.'],
    InvalidPrefix: ['A prefix is no number that fits the address.', 'Write the prefix of the subnet.'],
    InvalidTip: [
      'The tip of the branch came past the push rules and cannot be applied.',
      'Run multinic release NODE, or push a mended commit.',
      { concerns: 'tip' },
    ],
    InvalidTree: [
      'The files of the commit do not pass the checks.',
      'Mend the files that the message names, or revert the commit.',
      { concerns: 'tip' },
    ],
    InvalidYaml: ['A file is not plain YAML.', 'Write plain maps, lists and text.'],
    MacMismatch: ['The files of one NIC have two MACs.', 'Write the same MAC in both.'],
    MissingFile: ['A file is missing beside its partner.', 'Add it, or remove both.'],
    MissingKey: ['A key of ours is missing.', 'Write the line that the message names.'],
    NotText: ['A file is not UTF-8 text.', 'Store it as plain text.', { concerns: 'tip' }],
    RoutingMismatch: [
      'The routes and rules of a file do not fit the other files of the NIC.',
      'Write the line that the message names, or change the values everywhere alike.',
    ],
    TreeTooLarge: [
      'The branch of the node is too large.',
      'Revert the files that are not ours.',
      { concerns: 'tip' },
    ],
    UnquotedMac: ['Some readers of YAML take the MAC for a number.', 'Quote the MAC.'],
  }),
  ...rows('commit', 'pusher', {
    BranchCreate: ['No push makes a branch.', 'Name the node in a CR: then its branch is born.'],
    BranchDelete: ['No push deletes the history of a node.', 'Take the node out of its CR.'],
    BranchTwice: ['The push names a branch twice.', 'Name it once.'],
    CommitTooLarge: ['The message of a commit is too long.', 'Shorten it with git commit --amend.'],
    FileMode: ['A file is a link or an executable.', 'Make it a plain file (100644).'],
    FutureDate: ['The committer date lies in the future.', 'Set your clock, then amend the commit.'],
    InvalidCommit: [
      'A commit has headers that not every git reads alike.',
      'Make it anew: git commit --amend --reset-author.',
    ],
    MergeCommit: ['The commit is a merge.', 'Rebase it so that it has one parent.'],
    NoCommit: ['What was pushed is no commit.', 'Push a branch that git log shows.'],
    NodeFileChanged: ['The commit changes node.yaml, which the controller writes.', 'Restore node.yaml.'],
    NotFastForward: ['The push would rewrite history.', 'Fetch, rebase, and push without --force.'],
    PushTooLarge: ['The push is too large.', 'Push fewer commits at once.'],
    ReservedCommitter: ["The commit has the controller's address as committer.", 'Commit under your own.'],
    ReservedRef: ['The ref belongs to the controller.', 'Push to node/* only; change main through the CR.'],
    StrayRevert: [
      'A commit says that it reverts another and changes other interfaces.',
      'Run git revert --strategy=recursive -X no-renames, or multinic rollback.',
    ],
    TextTooLong: [
      'A name, an address or the first line of a commit is too long.',
      'Shorten it with git commit --amend.',
    ],
    TooManyBranches: ['The push moves too many branches.', 'Push in groups, or roll a change back.'],
    TooManyCommits: ['The push has too many commits.', 'Squash them.'],
    UnmanagedPath: [
      'The path is no file of ours.',
      'Take the file out of the commit; on the host: report it.',
    ],
  }),
  ...rows('itself', 'pusher', {
    PushEnded: ['git gave the push up while it was judged.', 'Push again.'],
    PushUnclear: ['The push has landed, and git did not end well.', 'Fetch before you go on.'],
  }),
};
