// The page: which view the address asks for, whether the server is there, and the colours.

import { ClusterView, type View } from './clusterview.ts';
import { el, fill, setText } from './dom.ts';
import { Live } from './live.ts';
import { NodeView } from './nodeview.ts';
import { CompareView, RunsView, RunView } from './runsview.ts';

const THEME_KEY = 'swarmboot-theme';

const live = new Live();
const content = document.querySelector('main')!;
const connection = document.querySelector('#connection')!;
const theme = document.querySelector<HTMLButtonElement>('#theme')!;
let view: View | null = null;

function viewOf(hash: string): View {
  const [, kind = '', first = '', second = ''] = hash.split('/').map(decodeURIComponent);
  if (kind === 'node') return new NodeView(live, first);
  if (kind === 'run') return new RunView(first);
  if (kind === 'compare') return new CompareView([first, second]);
  if (kind === 'runs') return new RunsView();
  return new ClusterView(live);
}

function route(): void {
  const first = view === null;
  view?.end();
  view = viewOf(location.hash);
  document.title = `${view.title} - Swarmboot`;
  fill(content, view.element);
  for (const link of document.querySelectorAll('nav a')) {
    const here = link.getAttribute('href') === (location.hash || '#/');
    if (here) link.setAttribute('aria-current', 'page');
    else link.removeAttribute('aria-current');
  }
  // Who reads by ear hears of the new view; the first one is not entered.
  if (!first) content.focus();
}

function showConnection(): void {
  const words = {
    connecting: 'connecting ...',
    live: 'live',
    away: 'the server does not answer; trying again',
  };
  setText(connection, words[live.connection]);
  connection.className = live.connection;
}

function isDark(): boolean {
  const chosen = document.documentElement.dataset.theme;
  return chosen === undefined ? matchMedia('(prefers-color-scheme: dark)').matches : chosen === 'dark';
}

function showTheme(): void {
  setText(theme, isDark() ? 'Light' : 'Dark');
  theme.setAttribute('aria-label', `Use ${isDark() ? 'light' : 'dark'} colours`);
  view?.recolour?.();
}

const kept = localStorage.getItem(THEME_KEY);
if (kept === 'dark' || kept === 'light') document.documentElement.dataset.theme = kept;
theme.addEventListener('click', () => {
  const next = isDark() ? 'light' : 'dark';
  document.documentElement.dataset.theme = next;
  localStorage.setItem(THEME_KEY, next);
  showTheme();
});
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', showTheme);
live.listen(showConnection);
addEventListener('hashchange', route);
addEventListener('error', ({ message }) =>
  content.prepend(el('p', { class: 'fault' }, `This page has failed: ${message}`)),
);
live.start();
route();
showTheme();
