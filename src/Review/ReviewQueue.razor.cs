using System.Globalization;
using System.Text.Json;
using FineTuneStudio.Projects;
using Microsoft.AspNetCore.Components;
using Microsoft.JSInterop;

namespace FineTuneStudio.Review;

public sealed partial class ReviewQueue
{
    [Parameter] public string Project { get; set; } = "";
    [Parameter] public int? Version { get; set; }
    [SupplyParameterFromQuery(Name = "show")] public string? ShowWhich { get; set; }
    [SupplyParameterFromQuery(Name = "label")] public string? OnlyLabel { get; set; }
    [SupplyParameterFromQuery(Name = "text")] public string? OnlyText { get; set; }
    [CascadingParameter] private ProjectPass Pass { get; set; } = default!;
    [Inject] private CompareReview Compare { get; set; } = default!;

    private readonly SemaphoreSlim oneAtATime = new(1);
    private OpenReview.Sheet? sheet;
    private OpenReview.Progress progress = new(0, 0, 0, 0, 0);
    private ReviewDifference? made;
    private FindRows.Queue queue = new([], 0);
    private RowFilter filter = new();
    private ReviewedRow? row;
    private Outcome? conflict;
    private Decision? wanted;
    private LabelChoice? choice;
    private IReadOnlyList<string> faults = [];
    private string note = "";
    private string? said, opened;
    private int at;
    private bool loaded, keys, freezing;
    private IJSObjectReference? module;
    private DotNetObjectReference<ReviewQueue>? me;

    private bool May => Pass.May(Permission.ReviewLabels);

    protected override async Task OnParametersSetAsync()
    {
        // Rendered again with the same address: the queue stays where it is.
        var address = $"{Project} {Version} {ShowWhich} {OnlyLabel} {OnlyText}";
        if (opened == address) return;
        opened = address;
        filter = FilterForm.Of(ShowWhich, OnlyLabel, OnlyText);
        (freezing, said) = (false, null);
        await Reload();
        loaded = true;
    }

    protected override async Task OnAfterRenderAsync(bool first)
    {
        if (!first || !May) return;
        me = DotNetObjectReference.Create(this);
        module = await Js.InvokeAsync<IJSObjectReference>("import", "/" + Assets["js/review.js"]);
        await module.InvokeVoidAsync("listen", me);
    }

    private async Task Reload()
    {
        sheet = await Open.Handle(Project, Version);
        if (sheet is null) return;
        progress = sheet.Progress;
        made = sheet.Version.Kind == Datasets.VersionKind.Review ? await Compare.WithParent(Project, sheet.Version.Number) : null;
        queue = await Find.Handle(Project, sheet.Version.Number, filter);
        at = 0;
        await Load();
    }

    private async Task Load()
    {
        (conflict, wanted, faults, note) = (null, null, [], "");
        row = at < queue.Ids.Count ? await ShowOne.Handle(Project, sheet!.Version.Number, queue.Ids[at]) : null;
        // Locked since the queue was made.
        if (row is null && at < queue.Ids.Count) await Reload();
    }

    /// From the keys of the page; the script has sorted out what was typed into fields.
    [JSInvokable]
    public Task Key(string key) => InvokeAsync(async () =>
    {
        // What fails here would go to the script, which has nothing to say to a person.
        try { await Do(() => Told(key)); }
        catch (Exception failed) { await DispatchExceptionAsync(failed); }
        StateHasChanged();
    });

    private Task Told(string key) => key switch
    {
        "?" => Flip(),
        "Escape" => Close(),
        "j" or "ArrowRight" or "ArrowDown" => Move(1),
        "k" or "ArrowLeft" or "ArrowUp" => Move(-1),
        "u" => TakeBack(),
        "f" => Flag(),
        "Enter" => Keep(),
        [>= '1' and <= '9'] when choice?.Shown is { } shown && shown.Count > key[0] - '1' => Choose(shown[key[0] - '1'], false),
        _ => Task.CompletedTask,
    };

    /// One thing after the other, in the order of the keys: a decision is written before the next key is looked at.
    private async Task Do(Func<Task> work)
    {
        await oneAtATime.WaitAsync();
        try
        {
            (faults, said) = ([], null);
            await work();
        }
        catch (ArgumentException refused) { faults = [refused.Message]; }
        finally { oneAtATime.Release(); }
    }

    private Task Flip() { keys = !keys; return Task.CompletedTask; }

    private Task Close() { keys = false; return Task.CompletedTask; }

    private Task Move(int by)
    {
        if (sheet is null || at + by < 0 || at + by > queue.Ids.Count) return Task.CompletedTask;
        at += by;
        return Load();
    }

    private Task Skip() => Move(1);

    private Task Choose(string label, bool isNew) => Save(DecisionKind.Label, label, isNew);

    private Task Keep() => row?.Label is { } label ? Save(DecisionKind.Label, label, false) : Task.CompletedTask;

    private Task Flag() => row is null ? Task.CompletedTask : Save(row.Flagged ? DecisionKind.Unflag : DecisionKind.Flag, null, false);

    private Task Comment() => Save(DecisionKind.Comment, null, false);

    private async Task Save(DecisionKind kind, string? label, bool isNew)
    {
        if (row is null || conflict is not null) return;
        await Write(new(sheet!.Version.Number, row.RowId, kind, row.LastId, label, note.Trim() == "" ? null : note, isNew));
    }

    private Task SaveMine() => Write(wanted! with { AfterId = conflict!.Row.LastId });

    private async Task Write(Decision decision)
    {
        var outcome = await Decide.Handle(Project, decision);
        if (!outcome.Saved)
        {
            (conflict, wanted) = (outcome, decision);
            Count(outcome.Row);
            return;
        }
        Count(outcome.Row);
        if (decision.NewLabel) sheet = sheet! with { Labels = [.. sheet.Labels.Append(decision.Label!.Trim()).Distinct().Order(StringComparer.Ordinal)] };
        if (decision.Kind == DecisionKind.Label) await Move(1);
        else (note, conflict, wanted) = ("", null, null);
        said = decision.Kind switch { DecisionKind.Label => $"Saved: “{decision.Label}”.", DecisionKind.Comment => "Comment saved.", DecisionKind.Flag => "Flagged.", _ => "Flag taken away." };
    }

    private async Task TakeBack()
    {
        if (sheet is null || !May) return;
        var outcome = await Undo.Handle(Project, sheet.Version.Number);
        if (outcome is null) { said = "There is no label of yours left to take back here."; return; }
        if (!outcome.Saved)
        {
            faults = [$"Not taken back: {string.Join(" and ", outcome.Meanwhile.Select(h => h.By).Distinct())} decided on row {N(outcome.Row.Position + 1)} after you; it is “{outcome.Row.Label ?? "no label"}” now."];
            return;
        }
        var ids = queue.Ids.ToList();
        var place = ids.IndexOf(outcome.Row.RowId);
        if (place < 0) ids.Insert(place = Math.Min(at, ids.Count), outcome.Row.RowId);
        (queue, at) = (new(ids, Math.Max(queue.Total, ids.Count)), place);
        var before = row?.RowId == outcome.Row.RowId ? row : null;
        Count(outcome.Row, before, undone: true);
        await Load();
        said = "Taken back.";
    }

    /// Keeps the line of progress in step without counting the whole version after each key.
    private void Count(ReviewedRow now, ReviewedRow? before = null, bool undone = false)
    {
        before ??= undone ? null : row;
        if (before is null)
        {
            var label = now.History.Last(h => h.Kind == DecisionKind.Undo).From;
            progress = progress with { Decided = progress.Decided - (now.Decided ? 0 : 1), Unlabelled = progress.Unlabelled + (now.Label is null && label is not null ? 1 : 0) };
        }
        else
            progress = progress with
            {
                Decided = progress.Decided + Change(before.Decided, now.Decided), Unlabelled = progress.Unlabelled + Change(before.Label is null, now.Label is null),
                Flagged = progress.Flagged + Change(before.Flagged, now.Flagged),
            };
        row = now;
    }

    private static int Change(bool before, bool now) => (now ? 1 : 0) - (before ? 1 : 0);

    private static string N(int n) => n.ToString("N0", CultureInfo.InvariantCulture);

    private static Dictionary<string, string> Attributes(string json) => JsonSerializer.Deserialize<Dictionary<string, string>>(json) ?? [];

    public async ValueTask DisposeAsync()
    {
        me?.Dispose();
        try
        {
            if (module is null) return;
            await module.InvokeVoidAsync("release");
            await module.DisposeAsync();
        }
        catch (JSDisconnectedException)
        {
            // The browser has gone, and its listener with it.
        }
    }
}
