namespace FineTuneStudio.Checklists;

public enum FactState { Pass, Warn, Block, NotMeasured, DoesNotApply }

/// One measured thing beside a do or don't, with the thresholds it was held against and where they come from.
public sealed record Fact(string Id, string Name, string Value, FactState State, string Threshold, string Source, string? HowToMeasure = null)
{
    public static Fact Unmeasured(string id, string name, string threshold, string source, string howToMeasure) =>
        new(id, name, "Not measured", FactState.NotMeasured, threshold, source, howToMeasure);

    /// A thing that has no meaning for the project's task; why is the rest of a sentence.
    public static Fact NotFor(string id, string name, string why) => new(id, name, why, FactState.DoesNotApply, "", "");
}

public sealed record GivenAnswer(long Id, Verdict Verdict, string Reason, string By, DateTime At);

/// One do or don't with its facts and every answer people gave, newest first.
public sealed record ChecklistLine(string Key, bool IsDo, string Title, IReadOnlyList<Fact> Facts, IReadOnlyList<GivenAnswer> Answers)
{
    /// The worst that was measured; not measured only where nothing was.
    public FactState State =>
        Facts.Any(f => f.State == FactState.Block) ? FactState.Block
        : Facts.Any(f => f.State == FactState.Warn) ? FactState.Warn
        : Facts.Any(f => f.State == FactState.Pass) ? FactState.Pass : FactState.NotMeasured;

    public GivenAnswer? Answer => Answers.Count > 0 ? Answers[0] : null;

    /// Somebody says it was kept, and a measurement says it was not.
    public bool IsAgainst => State == FactState.Block && Answer?.Verdict == Verdict.Kept;
}

/// The ten lines, and what exactly they were measured on.
public sealed record MeasuredChecklist(int? Version, int? Split, int? Run, IReadOnlyList<ChecklistLine> Lines)
{
    public long LastAnswerId => Lines.SelectMany(l => l.Answers).Select(a => a.Id).DefaultIfEmpty().Max();

    public MeasuredChecklist With(string key, Fact fact) =>
        this with { Lines = [.. Lines.Select(l => l.Key == key ? l with { Facts = [.. l.Facts, fact] } : l)] };
}
