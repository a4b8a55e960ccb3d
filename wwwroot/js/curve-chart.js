// A learning curve: mean and 95 % interval of each method over examples a label, on an axis where each doubling is as wide as the next.
let plotly;

function load(src) {
  if (window.Plotly) return Promise.resolve();
  plotly ??= new Promise((done, failed) => {
    const script = document.createElement('script');
    script.src = src; script.onload = done; script.onerror = () => { plotly = undefined; failed(new Error('The chart library did not load.')); };
    document.head.append(script);
  });
  return plotly;
}

const LOOKS = {
  Full: { color: '--train', symbol: 'circle', dash: 'solid' },
  HeadOnly: { color: '--validation', symbol: 'diamond', dash: 'dot' },
  Lora: { color: '--test', symbol: 'square', dash: 'dash' },
  Centroid: { color: '--pass', symbol: 'triangle-up', dash: 'dashdot' },
};

export async function create(root, src) {
  await load(src);
  const place = root.querySelector('[data-chart]');
  let shown = null, over = false;

  function draw() {
    if (!shown || over) return;
    const css = getComputedStyle(document.documentElement), ink = getComputedStyle(document.body).color, fonts = getComputedStyle(document.body).fontFamily;
    const color = name => css.getPropertyValue(name).trim();
    const ks = [...new Set(shown.lines.flatMap(l => l.points.map(p => p.k)))].sort((a, b) => a - b);
    const ends = ks.length ? [Math.log2(ks[0]) - .3, Math.log2(ks.at(-1)) + .3] : [-.3, 5.3];
    const axis = title => ({ title: { text: title, standoff: 8 }, gridcolor: 'rgba(128,128,128,.25)', zeroline: false, automargin: true, color: ink });
    // Methods stand a little beside each other, so that no interval hides another.
    const beside = i => (i - (shown.lines.length - 1) / 2) * .05;
    const traces = shown.lines.map((l, i) => {
      const look = LOOKS[l.method];
      return {
        x: l.points.map(p => Math.log2(p.k) + beside(i)), y: l.points.map(p => p.mean), name: l.name, mode: 'lines+markers', cliponaxis: false,
        error_y: { type: 'data', symmetric: false, array: l.points.map(p => p.high - p.mean), arrayminus: l.points.map(p => p.mean - p.low), color: color(look.color), thickness: 1.5, width: 4 },
        line: { color: color(look.color), width: 2.5, dash: look.dash }, marker: { symbol: look.symbol, size: 9, color: color(look.color) },
        customdata: l.points.map(p => [p.k, p.low, p.high]), hovertemplate: '%{customdata[0]} a label: %{y:.3f} (%{customdata[1]:.3f} to %{customdata[2]:.3f})',
      };
    });
    traces.push({ x: ends, y: [shown.majority, shown.majority], name: shown.majorityName, mode: 'lines', line: { color: ink, width: 1.5, dash: 'longdash' }, hovertemplate: '%{y:.3f}' });
    Plotly.react(place, traces, {
      margin: { t: 8, r: 12, l: 52, b: 40 }, paper_bgcolor: 'transparent', plot_bgcolor: 'transparent', font: { color: ink, family: fonts, size: 12 }, legend: { orientation: 'h', y: 1.02, yanchor: 'bottom', x: 0 },
      xaxis: { ...axis('examples a label'), range: ends, tickvals: ks.map(Math.log2), ticktext: ks.map(String) }, yaxis: { ...axis(shown.metric), range: [0, 1.02] }, hovermode: 'closest', hoverlabel: { font: { color: '#111' }, bgcolor: '#fff' },
    }, { responsive: true, displayModeBar: false, doubleClick: 'reset' });
  }

  const recolor = () => { for (const wait of [50, 600]) setTimeout(draw, wait); };
  document.addEventListener('themechange', recolor);
  return {
    show(curve) { shown = curve; draw(); },
    dispose() {
      over = true;
      document.removeEventListener('themechange', recolor);
      if (window.Plotly) Plotly.purge(place);
    },
  };
}
