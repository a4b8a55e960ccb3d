// The second half of a double click is no second order. Where quick clicks are meant, the button says so with data-quick.
window.addEventListener('click', e => {
  if (e.detail > 1 && e.target instanceof Element && e.target.closest('button, [type=submit]') && !e.target.closest('[data-quick]')) {
    e.preventDefault();
    e.stopImmediatePropagation();
  }
}, true);

document.addEventListener('click', async e => {
  if (e.target?.id === 'rejoin') {
    try { if (!(await Blazor.reconnect())) location.reload(); } catch { location.reload(); }
  }
  if (e.target?.closest?.('#dark')) {
    const links = [...document.querySelectorAll('link[rel=stylesheet]')].filter(l => /\/material(-dark)?-/.test(l.href));
    const dark = links.some(l => l.href.includes('/material-dark-'));
    for (const l of links) l.href = dark ? l.href.replace('/material-dark-', '/material-') : l.href.replace('/material-', '/material-dark-');
    document.cookie = `fts-theme=${dark ? 'material' : 'material-dark'};path=/;max-age=31536000;samesite=lax`;
    document.dispatchEvent(new Event('themechange'));
  }
});

// Who signs out in one tab has left in all of them: the page after the sign-out tells the others.
{
  const tabs = new BroadcastChannel('fts-signed-out');
  const there = '/account/sign-in';
  tabs.onmessage = () => location.replace(there);
  document.addEventListener('submit', e => { if (e.target.getAttribute('action') === '/account/sign-out') sessionStorage.setItem('fts-leaving', '1'); });
  if (sessionStorage.getItem('fts-leaving')) {
    sessionStorage.removeItem('fts-leaving');
    if (location.pathname === there) tabs.postMessage('');
  }
}
