// Prints the measures of the docs, the pages with the longest sentences first.
import { figuresOf } from './docs/figures.ts';
import { readPages } from './docs/pages.ts';

const figures = (await readPages()).map(figuresOf).toSorted((a, b) => b.words - a.words);
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
