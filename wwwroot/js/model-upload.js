let request = null;

// The names of the chosen files.
export const names = input => Array.from(input.files, file => file.name);

export function forget(input) { input.value = ''; }

// Streams a chosen file to the server. Answers null where it was taken, else the sentence that says why not.
export function send(input, url, token, page, at = 0) {
  const file = input.files[at];
  if (!file) return 'Choose a file first.';
  return new Promise(done => {
    request = new XMLHttpRequest();
    let told = 0;
    request.upload.onprogress = e => {
      if (Date.now() - told < 250 && e.loaded < e.total) return;
      told = Date.now();
      page.invokeMethodAsync('Progress', e.total ? e.loaded / e.total : 0);
    };
    request.onload = () => done(request.status === 200 ? null : plain(request));
    request.onerror = () => done('The connection to the server broke off. Nothing was imported; try again.');
    request.onabort = () => done('The upload was cancelled; nothing was imported.');
    request.open('POST', url);
    request.setRequestHeader('RequestVerificationToken', token ?? '');
    request.setRequestHeader('Content-Type', 'application/octet-stream');
    request.send(file);
  });
}

export function cancel() { if (request && request.readyState !== 4) request.abort(); }

function plain(answer) {
  try { const said = JSON.parse(answer.responseText); return typeof said === 'string' ? said : 'The server refused the upload.'; }
  catch { return answer.responseText || `The server answered ${answer.status}; nothing was imported.`; }
}
