// A unified diff as rows of a side-by-side view.

import { expect, test } from 'vitest';
import { parseDiff } from '../../src/ui/parts/diff-rows.ts';

const CHANGED = `diff --git a/etc/netplan/90-multinic0.yaml b/etc/netplan/90-multinic0.yaml
index 111..222 100644
--- a/etc/netplan/90-multinic0.yaml
+++ b/etc/netplan/90-multinic0.yaml
@@ -3,4 +3,4 @@ network:
   ethernets:
-    mtu: 1500
+    mtu: 1400
+    optional: true
     dhcp4: false
@@ -20 +21 @@
-last
+end
\\ No newline at end of file
diff --git a/etc/new b/etc/new
new file mode 100644
--- /dev/null
+++ b/etc/new
@@ -0,0 +1 @@
+<b>text</b>
diff --git a/etc/old b/etc/old
deleted file mode 100644
--- a/etc/old
+++ /dev/null
@@ -1 +0,0 @@
--- a line of dashes
`;

test('lines that went stand beside lines that came', () => {
  const [file] = parseDiff(CHANGED);
  expect(file).toEqual({
    path: 'etc/netplan/90-multinic0.yaml',
    kind: 'changed',
    rows: [
      {
        kind: 'same',
        left: { number: 3, text: '  ethernets:' },
        right: { number: 3, text: '  ethernets:' },
      },
      {
        kind: 'changed',
        left: { number: 4, text: '    mtu: 1500' },
        right: { number: 4, text: '    mtu: 1400' },
      },
      { kind: 'changed', right: { number: 5, text: '    optional: true' } },
      {
        kind: 'same',
        left: { number: 5, text: '    dhcp4: false' },
        right: { number: 6, text: '    dhcp4: false' },
      },
      { kind: 'gap' },
      { kind: 'changed', left: { number: 20, text: 'last' }, right: { number: 21, text: 'end' } },
    ],
  });
});

test('files that came and went are called so, and a line that looks like a head is a line', () => {
  const [, added, removed] = parseDiff(CHANGED);
  expect(added).toMatchObject({ path: 'etc/new', kind: 'added', rows: [{ right: { text: '<b>text</b>' } }] });
  expect(removed).toMatchObject({ kind: 'removed', rows: [{ left: { text: '-- a line of dashes' } }] });
});

test('no diff has no files', () => expect(parseDiff('')).toEqual([]));
