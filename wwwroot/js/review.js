// Keys of the review queue. Typing in a field stays typing; Enter on a button stays that button.
const told = /^([1-9jkuf?]|Enter|Escape|Arrow(Left|Right|Up|Down))$/;
const moves = /^([jk]|Arrow(Left|Right|Up|Down))$/;
const fields = { c: 'note', l: 'label-box', '/': 'find' };
let stop = () => {};

export function listen(page) {
  stop();
  const onKey = e => {
    if (e.ctrlKey || e.metaKey || e.altKey || e.defaultPrevented || e.isComposing) return;
    const at = e.target instanceof Element ? e.target : document.body;
    if (at.closest('input, textarea, select, [contenteditable]')) {
      // A written comment is done: the next key is a key of the page again. So is a label found among few.
      if (e.key === 'Escape' || (e.key === 'Enter' && at.matches('#note, #label-box[data-few]'))) at.blur();
      return;
    }
    if (at.closest('.scroll') && /^Arrow/.test(e.key)) return;
    if ((e.key === 'Enter' || e.key === ' ') && at.closest('button, a, summary')) return;
    if (fields[e.key]) {
      const field = document.getElementById(fields[e.key]);
      if (!field) return;
      field.closest('details')?.setAttribute('open', '');
      field.focus();
      e.preventDefault();
      return;
    }
    // A key held down moves, but never decides twice.
    if (!told.test(e.key) || (e.repeat && !moves.test(e.key))) return;
    e.preventDefault();
    page.invokeMethodAsync('Key', e.key);
  };
  document.addEventListener('keydown', onKey);
  document.body.dataset.keys = 'review';
  stop = () => { document.removeEventListener('keydown', onKey); delete document.body.dataset.keys; };
}

export function release() {
  stop();
}
