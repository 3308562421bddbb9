import { rows } from './reason-rows.ts';

/** Errors of commands, and of a home in a folder. */
export const COMMAND_REASONS = {
  ...rows('never', 'caller', {
    AddressNotHere: ['The address is none of this machine.', 'Choose one with --host.'],
    InsecureUrl: ['git would send a token without TLS.', 'Clone https://…'],
    InvalidServer: ['The URL of --server cannot be understood.', 'Write https://host:port.'],
    PausedByConfig: ['The annotation of its CR pauses the node.', 'Take multinic.io/paused off the CR.'],
    ControllerRunning: ['Another controller works on the folder.', 'Stop it, or use another folder.'],
    ControllerUnreachable: ['No controller answers.', 'Start it, or name another with --server.'],
    InvalidTokens: ['tokens.yaml cannot be understood.', 'Delete it to get new tokens.'],
    JobRunning: ['The job has not finished.', 'Forget it when it has.'],
    NoController: ['No controller runs there.', 'Start it, or correct its place.'],
    NoStatus: ['No controller has worked on the folder yet.', 'Start one.'],
    NotAHome: ['The folder is no home.', 'Name one with an inventory.yaml.'],
    NotEmpty: ['The folder is in use for something else.', 'Name a new folder.'],
    NotConfirmed: ['The person did not agree.', 'Nothing was changed.'],
    TargetNotNamed: [
      'No option names the place of a change.',
      'Name the cluster with --cluster, or the home with -C.',
    ],
    NoToken: ['There is no token.', 'Name the file that has it with --token-file.'],
    NotHeld: ['The node is not held.', 'Nothing.'],
    DriftOutdated: [
      'The branch moved on since the host was compared with it, or the host drifted otherwise.',
      'Edit the branch; multinic diff NODE --host shows what the host has. See multinic drift NODE, and accept that.',
    ],
    NothingToAccept: ['No file of the host differs.', 'See multinic drift.'],
    NothingToConfirm: ['No removal waits for a confirmation.', 'Name a node or a commit of main.'],
    NothingToRetry: ['No node has failed.', 'See multinic status.'],
    NothingToRollBack: ['There is nothing to go back to.', 'See multinic log NODE.'],
    NotInBranch: ['It is no commit of the branch.', 'Choose one of multinic log NODE.'],
    PortInUse: ['Another program has the port.', 'Choose one with --port.'],
    TakesAllInterfaces: [
      'The rollback takes all interfaces of the node away.',
      'Add --yes if that is meant.',
    ],
    ReservedAuthor: ["It is the controller's address.", 'Give your own.'],
  }),
};
