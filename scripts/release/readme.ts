import { placeholders } from './names.ts';
import { NAME, type Part, type Release } from './part.ts';

/** The release's own page: its files, and the parts that are missing, each with the reason. */
export function releaseReadme(release: Release, parts: readonly Part[]): string {
  const files = parts.flatMap((part) => part.files);
  const leftOut = parts.flatMap((part) => part.leftOut ?? []);
  const sections = [
    `# ${NAME} ${release.version}`,
    `Built from commit ${release.commit}. \`sha256sum --check SHA256SUMS\` verifies the files.`,
    table(files.map(({ path, use }) => [`\`${path}\``, use])),
    ...(leftOut.length > 0
      ? [`Not in this release:`, leftOut.map((reason) => `- ${reason}`).join('\n')]
      : []),
    ...warnings(release),
  ];
  return `${sections.join('\n\n')}\n`;
}

function table(rows: readonly (readonly string[])[]): string {
  const lines = [['File', 'Use'], ['---', '---'], ...rows].map((cells) => `| ${cells.join(' | ')} |`);
  return lines.join('\n');
}

function warnings({ names, commit }: Release): string[] {
  const examples = placeholders(names);
  return [
    ...(examples.length > 0
      ? [`Publish none of this yet: ${examples.join(', ')} of release.config.json are names of an example.`]
      : []),
    ...(/-dirty$|^unknown$/.test(commit)
      ? ['Publish none of this: it was built from a tree with changes that no commit has.']
      : []),
  ];
}
