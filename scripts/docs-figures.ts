// Prints the measures of the docs, the pages with the longest sentences first, and the share of commands that run.
import { commandBlocks } from './docs/blocks.ts';
import { figuresOf } from './docs/figures.ts';
import { readPages } from './docs/pages.ts';

const pages = await readPages();
const figures = pages.map(figuresOf).toSorted((a, b) => b.words - a.words);
console.log('words/sentence  longest  cell  columns  sentences  page');
for (const { path, sentences, words, longest, cell, columns } of figures)
  console.log(
    [
      words.toFixed(1).padStart(14),
      String(longest).padStart(7),
      String(cell).padStart(4),
      String(columns).padStart(7),
      String(sentences).padStart(9),
      path,
    ].join('  '),
  );
const sentences = figures.reduce((sum, each) => sum + each.sentences, 0);
const words = figures.reduce((sum, each) => sum + each.sentences * each.words, 0);
console.log(
  `${figures.length} pages, ${sentences} sentences, ${(words / sentences).toFixed(1)} words a sentence`,
);
const blocks = Object.groupBy(commandBlocks(pages), ({ runs }) => runs);
const count = (runs: keyof typeof blocks): number => blocks[runs]?.length ?? 0;
console.log(
  `Blocks of commands: ${count('local')} run in a local home, ${count('cluster')} on a cluster, ${count('elsewhere')} in other tests, ${count('none')} nowhere`,
);
