// The charts of a run. History comes with the first answer of the hub, new points as they are made; drawn at most three times a second.
const MOST_POINTS = 2000;
let plotly;

function load(src) {
  plotly ??= new Promise((done, failed) => {
    const script = document.createElement('script');
    script.src = src; script.onload = done; script.onerror = () => { plotly = undefined; failed(new Error('The chart library did not load.')); };
    document.head.append(script);
  });
  return plotly;
}

export async function create(root, page, o) {
  let steps = [], evaluations = [], early = null, timer = 0, drawn = 0, dirty = false, live = 0, over = false;
  const tell = sentence => { if (!over) page.invokeMethodAsync('Tell', sentence).catch(() => {}); };

  function take(update) {
    if (update.rewoundTo !== null && update.rewoundTo !== undefined) {
      steps = steps.filter(s => s.step < update.rewoundTo);
      evaluations = evaluations.filter(e => e.step < update.rewoundTo);
    }
    for (const s of update.steps) if (!steps.length || s.step > steps[steps.length - 1].step) steps.push(s);
    for (const e of update.evaluations) if (!evaluations.length || e.step > evaluations[evaluations.length - 1].step) evaluations.push(e);
    dirty = true;
    plan();
  }

  const connection = new signalR.HubConnectionBuilder().withUrl('/hubs/runs').withAutomaticReconnect([0, 1000, 2000, 5000, 10000, 10000, 10000, 30000]).configureLogging(signalR.LogLevel.None).build();
  connection.on('Progress', update => {
    live += update.steps.length;
    root.dataset.livePoints = live;
    if (early) early.push(update); else take(update);
  });
  connection.on('Ended', sentence => { tell(sentence); connection.stop(); });
  connection.onreconnecting(() => tell('The connection for live points is lost; rejoining…'));
  connection.onreconnected(() => watch(true));
  connection.onclose(() => tell('Live points have stopped; load the page again to see more.'));

  // Points that arrive before the history wait for it. After a lost connection everything is read again: a restart may have replaced some.
  async function watch(again) {
    early = [];
    try {
      const history = await connection.invoke('Watch', o.project, o.kind, o.run, -1);
      if (again) [steps, evaluations] = [[], []];
      take(history);
      tell(null);
    } catch (e) { tell(String(e.message ?? e).replace(/^.*HubException: /, '')); }
    const waiting = early; early = null;
    for (const update of waiting) take(update);
  }

  function plan() {
    if (timer || document.hidden || over || !window.Plotly) return;
    timer = setTimeout(() => { timer = 0; draw(); }, Math.max(0, 350 - (performance.now() - drawn)));
  }

  function draw() {
    if (!dirty || over) return;
    [dirty, drawn] = [false, performance.now()];
    const css = getComputedStyle(document.documentElement), ink = getComputedStyle(document.body).color;
    // By name: text that inherits its font is measured outside of the chart, where it is another one, and a legend is cut by that.
    const fonts = getComputedStyle(document.body).fontFamily;
    const color = name => css.getPropertyValue(name).trim();
    const thin = sparse(steps), x = thin.map(s => s.step), ex = evaluations.map(e => e.step);
    const best = evaluations.filter(e => e.isBest).at(-1);
    const axis = title => ({ title: { text: title, standoff: 8 }, gridcolor: 'rgba(128,128,128,.25)', zerolinecolor: 'rgba(128,128,128,.4)', automargin: true, color: ink });
    const layout = (yTitle, extra) => ({ margin: { t: 8, r: 12, l: 52, b: 40 }, paper_bgcolor: 'transparent', plot_bgcolor: 'transparent', font: { color: ink, family: fonts, size: 12 }, legend: { orientation: 'h', y: 1.02, yanchor: 'bottom', x: 0 },
      xaxis: { ...axis('step'), range: [0, Math.max(1, steps.at(-1)?.step ?? 1, ex.at(-1) ?? 1)] }, yaxis: axis(yTitle), hovermode: 'x unified', hoverlabel: { font: { color: '#111' }, bgcolor: '#fff' }, ...extra });
    const config = { responsive: true, displayModeBar: false, doubleClick: 'reset' };
    const star = value => best ? [{ x: [best.step], y: [value(best)], name: 'best checkpoint', mode: 'markers', cliponaxis: false, marker: { symbol: 'star', size: 15, color: color('--pass'), line: { color: ink, width: 1 } } }] : [];
    const smooth = smoothed(steps), bySteps = new Map(steps.map((s, i) => [s.step, smooth[i]]));
    react('loss', [
      { x, y: thin.map(s => s.trainLoss), name: 'training, each step', mode: 'lines', line: { color: color('--train'), width: 1 }, opacity: .35 },
      { x, y: x.map(s => bySteps.get(s)), name: 'training, smoothed', mode: 'lines', line: { color: color('--train'), width: 2.5 } },
      { x: ex, y: evaluations.map(e => e.validationLoss), name: o.held, mode: 'lines+markers', line: { color: color('--validation'), width: 2.5, dash: 'dot' }, marker: { symbol: 'diamond', size: 8 } },
      ...star(e => e.validationLoss),
    ], layout('loss'));
    const [first, second] = o.metrics, of = m => e => e.scores[m.key];
    react('metric', [
      { x: ex, y: evaluations.map(of(first)), name: `${o.held} ${first.name}`, mode: 'lines+markers', line: { color: color('--validation'), width: 2.5 }, marker: { symbol: 'diamond', size: 8 } },
      ...(o.byLoss ? second ? [{ x: ex, y: evaluations.map(of(second)), name: `${o.held} ${second.name}`, mode: 'lines', line: { color: color('--validation'), width: 1.5, dash: 'dot' } }] : []
        : [{ x: ex, y: evaluations.map(e => e.trainSampleMetric), name: `the same on train ${o.what}`, mode: 'lines', line: { color: color('--train'), width: 1.5, dash: 'dash' } }]),
      ...star(of(first)),
    // Perplexity falls by powers of ten; on a plain axis all that comes after its start lies on the ground.
    ], layout('share', { yaxis: o.share ? { ...axis('value, 0 to 1'), ...(evaluations.length ? { rangemode: 'tozero' } : { range: [0, 1] }) } : { ...axis(first.name), type: falls(evaluations.map(of(first))) ? 'log' : 'linear' } }));
    const small = { showlegend: false, margin: { t: 6, r: 8, l: 44, b: 30 } };
    for (const [name, value] of [['learningRate', s => s.learningRate], ['gradientNorm', s => s.gradientNorm], ['examplesPerSecond', s => s.examplesPerSecond], ['memory', s => s.memoryBytes / 2 ** 30]])
      react(name, [{ x, y: thin.map(value), mode: 'lines', line: { color: color('--train'), width: 1.5 } }], layout('', { ...small, yaxis: { ...axis(''), rangemode: 'tozero', nticks: 4 }, xaxis: { ...axis(''), nticks: 4 } }));

    function react(name, traces, shape) { Plotly.react(root.querySelector(`[data-chart=${name}]`), traces, shape, config); }
  }

  const seen = () => { if (!document.hidden) plan(); };
  const recolor = () => { for (const wait of [50, 600]) setTimeout(() => { dirty = true; plan(); }, wait); };
  document.addEventListener('visibilitychange', seen);
  document.addEventListener('themechange', recolor);
  load(o.plotly).then(() => { dirty = true; plan(); }, e => tell(e.message));
  connection.start().then(() => watch(false), () => tell('Live points do not come: the server does not answer. Load the page again.'));

  return {
    dispose() {
      over = true;
      clearTimeout(timer);
      document.removeEventListener('visibilitychange', seen);
      document.removeEventListener('themechange', recolor);
      connection.stop();
      if (window.Plotly) for (const chart of root.querySelectorAll('[data-chart]')) Plotly.purge(chart);
    },
  };
}

function falls(values) { return Math.min(...values) > 0 && Math.max(...values) > 20 * Math.min(...values); }

function sparse(points) {
  if (points.length <= MOST_POINTS) return points;
  const every = Math.ceil(points.length / MOST_POINTS);
  return points.filter((_, i) => i % every === 0 || i === points.length - 1);
}

// An exponential mean over steps, without the pull of its start. A point stands for the steps since the one before it, so that a
// curve read late with fewer points weighs them as the watched one did; where points were left out, it comes near it.
function smoothed(points) {
  const keep = .95;
  let mean = 0, weight = 1, before = 0;
  return points.map(s => {
    const kept = keep ** Math.max(1, s.step - before);
    before = s.step;
    mean = kept * mean + (1 - kept) * s.trainLoss;
    weight *= kept;
    return mean / (1 - weight);
  });
}
