// The order in which test files begin: on a new machine vitest knows no durations and sorts by size.
import { basename } from 'node:path';
import { BaseSequencer, type TestSpecification } from 'vitest/node';

/** @param first names of files without their endings, in their order; the others follow as vitest has them */
export function fileOrder(...first: readonly string[]): typeof BaseSequencer {
  const rank = ({ moduleId }: TestSpecification): number => {
    const index = first.indexOf(basename(moduleId).replace(/\..*/, ''));
    return index === -1 ? first.length : index;
  };
  return class extends BaseSequencer {
    override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
      return (await super.sort(files)).toSorted((a, b) => rank(a) - rank(b));
    }
  };
}
