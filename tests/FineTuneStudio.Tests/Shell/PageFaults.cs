using System.Text.Json;
using Microsoft.Playwright;

namespace FineTuneStudio.Tests.Shell;

/// What a person would stumble over on a page as it stands: it scrolls sideways, a control is cut off, or assistive technology cannot use it.
public static class PageFaults
{
    private static readonly Lazy<string> Axe = new(() => File.ReadAllText(Path.Combine(ContentRoot.Find([]), "node_modules", "axe-core", "axe.min.js")));

    private const string Layout = """
        () => {
          const faults = [], wide = document.documentElement.clientWidth;
          const says = e => `<${e.tagName.toLowerCase()}> “${(e.innerText || e.value || e.getAttribute('aria-label') || e.id || e.name || '').trim().slice(0, 50)}”`;
          if (document.documentElement.scrollWidth > window.innerWidth) {
            const widest = [...document.body.querySelectorAll('*')].filter(e => !e.parentElement.closest('.scroll')).sort((a, b) => b.getBoundingClientRect().right - a.getBoundingClientRect().right)[0];
            faults.push(`scrolls sideways: ${document.documentElement.scrollWidth} px in ${window.innerWidth}; widest is ${says(widest)} .${widest.className}`);
          }
          for (const e of document.querySelectorAll('button, input:not([type=hidden]), select, textarea, a[href], summary, [role=button]')) {
            const box = e.getBoundingClientRect(), style = getComputedStyle(e);
            if (box.width < 1 || box.height < 1 || style.visibility === 'hidden' || style.opacity === '0' || e.matches('.skip') || e.closest('.away, .rz-notification, .js-plotly-plot')) continue;
            if (style.clipPath !== 'none' || (style.position === 'absolute' && box.width <= 1)) continue;
            const inScroll = e.closest('.scroll, pre');
            if (!inScroll && (box.left < -1 || box.right > wide + 1)) faults.push(`${says(e)} lies outside the page: ${Math.round(box.left)} to ${Math.round(box.right)} of ${wide} px`);
            if (style.display !== 'inline' && e.matches('button, a, summary') && e.scrollWidth > e.clientWidth + 1) faults.push(`${says(e)} does not hold its text: ${e.scrollWidth} px in ${e.clientWidth}`);
            for (let up = e.parentElement; up && !inScroll; up = up.parentElement) {
              const over = getComputedStyle(up).overflowX, edge = up.getBoundingClientRect();
              if ((over === 'hidden' || over === 'clip') && (box.right > edge.right + 1 || box.left < edge.left - 1)) { faults.push(`${says(e)} is cut off by .${up.className || up.tagName}`); break; }
            }
          }
          return faults;
        }
        """;

    private const string Accessible = """
        async () => (await axe.run(document, { runOnly: ['wcag2a', 'wcag2aa', 'wcag21aa'], resultTypes: ['violations'] })).violations
          .filter(v => v.impact === 'serious' || v.impact === 'critical')
          .map(v => `${v.id} (${v.impact}): ${v.nodes.slice(0, 3).map(n => n.html.slice(0, 160) + ' ' + (n.any[0]?.message ?? n.all[0]?.message ?? '')).join(' | ')}${v.nodes.length > 3 ? ` and ${v.nodes.length - 3} more` : ''}`)
        """;

    public static async Task<IReadOnlyList<string>> Find(IPage page)
    {
        var faults = new List<string>(await page.EvaluateAsync<string[]>(Layout));
        if (!await page.EvaluateAsync<bool>("() => typeof axe === 'object'")) await page.EvaluateAsync(Axe.Value);
        faults.AddRange(await page.EvaluateAsync<string[]>(Accessible));
        return faults;
    }
}
