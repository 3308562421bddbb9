import { InvalidArgumentError } from 'commander';
import { GROUPS, type Group } from '../api/api-groups.ts';

/** Parses an option that lists our API groups. */
export function groups(text: string): Group[] {
  return text.split(',').map((part) => {
    const group = GROUPS.find((each) => each === part.trim());
    if (group === undefined) throw new InvalidArgumentError(`Choose of ${GROUPS.join(', ')}.`);
    return group;
  });
}
