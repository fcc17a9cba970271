/** Two sentences, with one full stop between them, whether or not the first brings its own. */
export const joinSentences = (first: string, second: string): string => `${first.replace(/[.\s]+$/, '')}${/[!?]$/.test(first) ? '' : '.'} ${second}`;
