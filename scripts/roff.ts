// The language of manual pages, man(7): text that stays what it is, and the few requests that our pages use.

/** Text as roff prints it: no sign of it is a request, and what is copied from the page is what stands here. */
export function plain(text: string): string {
  const signs: Readonly<Record<string, string>> = {
    '\\': '\\e',
    '-': '\\-',
    "'": '\\(aq',
    '`': '\\(ga',
    '^': '\\(ha',
    '~': '\\(ti',
  };
  return text.replace(/[\\\-'`^~]/g, (sign) => signs[sign]!).replace(/^\./gm, '\\&.');
}

/** Bold. */
export function bold(text: string): string {
  return `\\fB${plain(text)}\\fR`;
}

/** Prose in which what stands between backquotes is bold. */
export function prose(text: string): string {
  return text
    .split('`')
    .map((part, index) => (index % 2 === 0 ? plain(part) : bold(part)))
    .join('');
}

/** The first line of a page. */
export function heading(name: string, section: number, date: string, version: string): string {
  return `.TH ${name.toUpperCase()} ${section} ${date} "Swarmboot ${version}" "Swarmboot"\n`;
}

export function section(title: string, ...body: readonly string[]): string {
  return `.SH ${title}\n${opened(body)}`;
}

export function subsection(title: string, ...body: readonly string[]): string {
  return `.SS "${plain(title)}"\n${opened(body)}`;
}

/** The first paragraph of a section wants no request of its own. */
function opened(body: readonly string[]): string {
  return body.join('').replace(/^\.PP\n/, '');
}

export function paragraph(text: string): string {
  return `.PP\n${prose(text)}\n`;
}

/** Words, roff already, and behind or below them what they mean. */
export function item(words: string, meaning: string): string {
  return `.TP\n${words}\n${prose(meaning)}\n`;
}

/** Lines that stay as they are. */
export function example(text: string): string {
  return `.PP\n.EX\n${plain(text.trimEnd())}\n.EE\n`;
}
