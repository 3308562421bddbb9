import { Command } from 'commander';

const program = new Command('multinic').description(
  'Configures the NICs of Kubernetes nodes on OpenStack, GitOps style.',
);
await program.parseAsync();
