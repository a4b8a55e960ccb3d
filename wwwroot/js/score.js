// Sends one file to be scored, in one request with progress; what happens to it then is told by the page.
let request;

export function attach(area, token, page) {
  const input = area.querySelector('input[type=file]'), going = area.querySelector('.going'), faults = area.querySelector('.faults');
  const fault = sentence => { faults.hidden = !sentence; faults.textContent = sentence ?? ''; going.hidden = true; input.disabled = false; if (sentence) input.value = ''; };
  area.querySelector('.give-up').addEventListener('click', () => { request?.abort(); fault(null); input.value = ''; });
  const begin = () => {
    const file = input.files[0];
    if (!file) return;
    fault(null);
    const max = Number(area.dataset.max);
    if (file.size > max) return fault(`“${file.name}” has ${(file.size / 1048576).toFixed(1)} MiB; at most ${Math.floor(max / 1048576)} are scored at once. Split it.`);
    going.hidden = false;
    input.disabled = true;
    request = new XMLHttpRequest();
    request.open('POST', `${area.dataset.url}?name=${encodeURIComponent(file.name)}`);
    request.setRequestHeader('RequestVerificationToken', token);
    request.responseType = 'json';
    const started = performance.now();
    request.upload.onprogress = e => {
      going.querySelector('progress').value = e.loaded / e.total;
      const rate = e.loaded / 1048576 / ((performance.now() - started) / 1000);
      going.querySelector('.said').textContent = `${(e.loaded / 1048576).toFixed(1)} of ${(e.total / 1048576).toFixed(1)} MiB, ${rate.toFixed(1)} MiB a second`;
    };
    request.onload = () => request.status === 200 ? page.invokeMethodAsync('Received', request.response.id) : fault(request.response?.problem ?? `The server answered ${request.status}. Load the page again and choose the file once more.`);
    request.onerror = () => fault('The connection was lost. Choose the file again.');
    request.send(file);
  };
  input.addEventListener('change', begin);
  // Chosen on a slow connection before this script was here.
  begin();
}

export function leave() { request?.abort(); }
