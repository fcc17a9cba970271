const WIDE = /[\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6]|\p{Extended_Pictographic}/u;
const WIDTHLESS = /\p{Mn}|\p{Cf}/u;

/** Cells of a terminal that a line takes. */
export function widthOf(line: string): number {
  if (/^[\x20-\x7e]*$/.test(line)) return line.length;
  let width = 0;
  for (const character of line) width += WIDTHLESS.test(character) ? 0 : WIDE.test(character) && character > '\u00ff' ? 2 : 1;
  return width;
}

/** Lines of at most `width` cells: broken between words where the next word fits a line, else behind one of ` ,/;` in the second half of the line, else anywhere. */
export function wrapText(text: string, width: number): string[] {
  return text.split('\n').flatMap((line) => wrapLine(line, width));
}

function wrapLine(line: string, width: number): string[] {
  if (widthOf(line) <= width) return [line];
  const lines: string[] = [];
  let current = '';
  let cells = 0;
  let at = 0;
  for (const character of line) {
    const more = widthOf(character);
    if (cells + more > width) {
      const whole = character === ' ' ? current.length : breakBefore(current, line.slice(at), width);
      lines.push(current.slice(0, whole).trimEnd());
      current = current.slice(whole);
      cells = widthOf(current);
    }
    if (current !== '' || character !== ' ' || lines.length === 0) {
      current += character;
      cells += more;
    }
    at += character.length;
  }
  return [...lines, current];
}

/** How much of a full line stays in it when `rest` follows. */
function breakBefore(full: string, rest: string, width: number): number {
  const wordAt = full.lastIndexOf(' ') + 1;
  const word = full.slice(wordAt) + (/^[^ ]*/.exec(rest)?.[0] ?? '');
  if (full.slice(0, wordAt).trim() !== '' && widthOf(word) <= width) return wordAt;
  const markAt = Math.max(...[' ', ',', '/', ';'].map((mark) => full.lastIndexOf(mark))) + 1;
  return markAt > full.length / 2 ? markAt : full.length;
}
