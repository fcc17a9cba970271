/** Characters of a refusal that are shown. */
const TEXT_LIMIT = 300;
/** Of strangers' text that is looked through: to find where a page's text begins, and of that text. */
const PAGE_LIMIT = 64 * 1024;
const MARKUP_LIMIT = 4 * 1024;

/**
 * One readable line of an error body. Glance answers with HTML, JSON or plain text, depending on version, proxy and
 * Accept header; the status line that the body repeats is left out. Empty when the body says nothing.
 */
export function readableError(body: string): string {
  const text = messageOfJson(body) ?? body;
  return withoutMarkup(text)
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '' && !/^\d{3} [A-Z][A-Za-z ]*$/.test(line))
    .join(' ')
    .slice(0, TEXT_LIMIT);
}

function messageOfJson(body: string): string | undefined {
  if (!body.trimStart().startsWith('{')) return undefined;
  try {
    const { message, title } = JSON.parse(body) as { message?: unknown; title?: unknown };
    if (typeof message === 'string' && message !== '') return message;
    return typeof title === 'string' ? title : undefined;
  } catch {
    return undefined; // text that only begins like JSON is shown as text
  }
}

const withoutMarkup = (text: string): string =>
  text
    .slice(0, PAGE_LIMIT)
    // to the end where it is not closed: a pattern that fails there would be tried anew at each of its beginnings
    .replace(/<(head|script|style)[\s>][\s\S]*?(?:<\/\1>|(?=<body[\s>])|$)/gi, '')
    .slice(0, MARKUP_LIMIT)
    .replace(/<[a-z/!][^<>]*>/gi, '\n')
    .replace(/&#(\d+);/g, (_, code: string) => characterOf(parseInt(code, 10)))
    .replace(/&#x([0-9a-f]+);/gi, (_, code: string) => characterOf(parseInt(code, 16)))
    .replace(/&lt;/g, '<')
    .replace(/&gt;/g, '>')
    .replace(/&quot;/g, '"')
    .replace(/&nbsp;/g, ' ')
    .replace(/&amp;/g, '&');

const characterOf = (code: number): string => (code <= 0x10ffff ? String.fromCodePoint(code) : '');
