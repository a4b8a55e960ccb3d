// Sends a file to the server in chunks. What the server has acknowledged is on its disk, so that after a lost connection, a restart of the
// server or a reload of the page the upload goes on from there. Everything on screen here is drawn by this module, not through the circuit.
const chunk = 4 * 1024 * 1024, head = 64 * 1024;
let current;

export function attach(area, token) {
  const input = area.querySelector('input[type=file]'), drop = area.querySelector('.drop');
  const chosen = () => input.files[0] && begin(area, input.files[0], token);
  input.addEventListener('change', chosen);
  for (const type of ['dragenter', 'dragover']) drop.addEventListener(type, e => { e.preventDefault(); drop.classList.add('over'); });
  for (const type of ['dragleave', 'drop']) drop.addEventListener(type, e => { e.preventDefault(); drop.classList.remove('over'); });
  drop.addEventListener('drop', e => {
    const files = e.dataTransfer?.files ?? [];
    if (files.length > 1) fault(area, `You dropped ${files.length} files; drop one at a time.`);
    else if (files.length === 1) begin(area, files[0], token);
  });
  area.querySelector('.give-up').addEventListener('click', () => current?.cancel());
  // Chosen before this module was here.
  chosen();
}

export function leave() { current?.abort(); }

async function begin(area, file, token) {
  fault(area, null);
  if (file.size > Number(area.dataset.max)) return fault(area, `“${file.name}” has ${bytes(file.size)}; at most ${bytes(Number(area.dataset.max))} are taken. Split it, or ask for a higher limit.`);
  const job = current = { gone: false, request: null, id: null };
  job.abort = () => { job.gone = true; job.request?.abort(); };
  job.cancel = async () => {
    job.abort();
    if (job.id !== null) await send(job, 'DELETE', `${area.dataset.url}/${job.id}`, null, token).catch(() => { });
    show(area, false);
  };
  area.querySelector('.name').textContent = file.name;
  show(area, true);
  say(area, 0, 'Starting…');
  try {
    const place = await insist(job, area, () => send(job, 'POST', `${area.dataset.url}?name=${encodeURIComponent(file.name)}&size=${file.size}`, file.slice(0, head), token));
    job.id = place.id;
    let offset = await same(job, area, file, place.blocks ?? []);
    const from = offset, marks = [[performance.now(), from]];
    while (offset < file.size) {
      const at = offset, end = Math.min(file.size, at + chunk);
      const progress = loaded => {
        const now = performance.now(), sent = Math.min(end, at + loaded);
        while (marks.length > 1 && now - marks[0][0] > 5000) marks.shift();
        const speed = (sent - marks[0][1]) / Math.max(0.2, (now - marks[0][0]) / 1000);
        say(area, sent / file.size, `${bytes(sent)} of ${bytes(file.size)}, ${bytes(speed)} a second${speed > 0 ? `, ${time((file.size - sent) / speed)} left` : ''}${from > 0 ? `; went on from ${bytes(from)}` : ''}`);
        marks.push([now, sent]);
      };
      const answer = await insist(job, area, () => send(job, 'PUT', `${area.dataset.url}/${job.id}?offset=${at}`, file.slice(at, end), token, progress));
      // The server may have more already than this chunk; what it has is compared too.
      offset = Math.min(end, answer.offset);
      progress(offset - at);
    }
    say(area, 1, `${bytes(file.size)}, all here.`);
    location.assign(area.dataset.next + job.id);
  } catch (e) {
    if (job.gone) return;
    show(area, false);
    area.querySelector('input[type=file]').value = '';
    fault(area, e.message);
  }
}

// Where the file begins to differ from the blocks that the server has, or where those end. Sending goes on from there: the server compares
// what it has already and refuses a file that was edited meanwhile. Plain http has no hashes here; then everything is sent again, and compared.
async function same(job, area, file, blocks) {
  if (!globalThis.crypto?.subtle) return 0;
  let at = 0;
  for (const hash of blocks) {
    say(area, at / file.size, `Comparing what is here already: ${bytes(at)}…`);
    const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', await file.slice(at, at + chunk).arrayBuffer()));
    if (job.gone || hash !== Array.from(digest, b => b.toString(16).padStart(2, '0')).join('')) break;
    at += chunk;
  }
  return at;
}

// Tries again while the server cannot be reached; asks it anew where to go on when it says that it is elsewhere.
async function insist(job, area, attempt) {
  for (let wait = 500; ; wait = Math.min(wait * 2, 8000)) {
    try { return await attempt(); }
    catch (e) {
      if (job.gone || e.status && e.status !== 502 && e.status !== 503) {
        if (!job.gone && e.offset !== undefined && e.offset !== null && e.status === 409) return { offset: e.offset, id: job.id };
        throw e;
      }
      say(area, null, `The server does not answer; trying again in ${Math.ceil(wait / 1000)} s. What it has is safe.`);
      await new Promise(done => setTimeout(done, wait));
      if (job.gone) throw e;
    }
  }
}

function send(job, method, url, body, token, progress) {
  return new Promise((done, failed) => {
    const request = new XMLHttpRequest();
    if (method !== 'DELETE') job.request = request;
    request.open(method, url);
    request.setRequestHeader('RequestVerificationToken', token ?? '');
    request.responseType = 'text';
    if (progress) request.upload.onprogress = e => progress(e.loaded);
    request.onload = () => {
      let answer = {};
      try { answer = JSON.parse(request.responseText); } catch { answer = { problem: request.responseText }; }
      if (request.status >= 200 && request.status < 300) done(answer);
      else failed(Object.assign(new Error(answer.problem || `The server answered ${request.status}.`), { status: request.status, offset: answer.offset }));
    };
    request.onerror = request.onabort = request.ontimeout = () => failed(Object.assign(new Error('The server does not answer.'), { status: 0 }));
    request.send(body);
  });
}

function show(area, going) {
  area.querySelector('.drop').hidden = going;
  area.querySelector('.going').hidden = !going;
}

function say(area, share, text) {
  if (share !== null) area.querySelector('progress').value = share;
  area.querySelector('.said').textContent = text;
}

function fault(area, text) {
  const box = area.querySelector('.faults');
  box.hidden = !text;
  box.textContent = text ?? '';
}

function bytes(n) {
  return n >= 2 ** 30 ? `${(n / 2 ** 30).toFixed(2)} GB` : n >= 2 ** 20 ? `${(n / 2 ** 20).toFixed(1)} MB` : n >= 1024 ? `${(n / 1024).toFixed(0)} kB` : `${Math.round(n)} bytes`;
}

function time(seconds) {
  return seconds >= 5400 ? `${Math.round(seconds / 3600)} h` : seconds >= 90 ? `${Math.round(seconds / 60)} min` : `${Math.max(1, Math.round(seconds))} s`;
}
