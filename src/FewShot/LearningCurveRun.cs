using System.Text.Json;
using FineTuneStudio.Engine.FewShot;
using FineTuneStudio.Engine.Training;

namespace FineTuneStudio.FewShot;

public enum CurveState { Queued, Running, Finished, Stopped, Failed }

/// What a person chose for a curve. Ks are examples a label, Steps those of a point that trains, LearningRate that of full fine-tuning.
public sealed record CurveSettings(IReadOnlyList<FewShotMethod> Methods, IReadOnlyList<int> Ks, int Draws, int Steps, double LearningRate, int MaxLength)
{
    private static readonly FewShotJob Standard = new("", [], [], [], "");

    /// What the form begins with.
    public static CurveSettings For(double? suggestedRate, int positions) => new(Standard.Methods, Standard.Ks, Standard.Draws, Standard.LeastSteps,
        suggestedRate ?? Standard.Recipe.LearningRate, Math.Min(Standard.Recipe.MaxLength, positions));

    /// How many points that makes where the most frequent label has so many train rows.
    public int Points(int largest) => Methods.Count * Draws * (Ks.Count == 0 ? 0 : FewShotDraw.DistinctKs(largest, Ks).Count);

    internal FewShotJob Job(string model, IReadOnlyList<string> labels, IReadOnlyList<LabeledText> train, IReadOnlyList<LabeledText> validation, string folder) => new(model, labels, train, validation, folder)
    {
        Methods = Methods, Ks = Ks, Draws = Draws, LeastSteps = Steps, Recipe = Standard.Recipe with { LearningRate = LearningRate, MaxLength = MaxLength },
    };
}

/// One learning curve: its settings, where it stands, and what its end says. Its points are in its folder, each on disk before the next begins.
public sealed class LearningCurveRun
{
    public int Id { get; init; }
    public required string ProjectId { get; init; }
    public required int Number { get; init; }
    public required int SplitId { get; init; }
    public required int BaseModelId { get; init; }
    public required string SettingsJson { get; init; }
    public required string StartedById { get; init; }
    public required DateTime QueuedAt { get; set; }
    public DateTime? StartedAt { get; private set; }
    public DateTime? FinishedAt { get; private set; }
    public CurveState State { get; private set; } = CurveState.Queued;
    public bool StopAsked { get; set; }
    public int PointsDone { get; set; }
    public required int PointsTotal { get; set; }
    /// Train rows of the split.
    public required int PoolRows { get; init; }
    /// Validation rows on which every point is measured.
    public required int MeasuredRows { get; init; }
    public required string MajorityLabel { get; init; }
    public required double MajorityAccuracy { get; init; }
    public required double MajorityMacroF1 { get; init; }
    /// Sentences on what a reader must know, as JSON.
    public string NotesJson { get; set; } = "[]";
    public string? Failure { get; private set; }

    public CurveSettings Settings => JsonSerializer.Deserialize<CurveSettings>(SettingsJson)!;
    public bool IsOver => State is CurveState.Finished or CurveState.Stopped or CurveState.Failed;

    public void Start(DateTime at)
    {
        Move(CurveState.Running, CurveState.Queued);
        StartedAt ??= at;
    }

    /// Back into the queue: the server stopped under it, or a person lets it go on. What is measured stays.
    public void Requeue()
    {
        Move(CurveState.Queued, CurveState.Running, CurveState.Stopped, CurveState.Failed);
        (Failure, FinishedAt) = (null, null);
    }

    public void End(CurveState state, DateTime at, string? failure = null)
    {
        Move(state, CurveState.Running, CurveState.Queued);
        (FinishedAt, Failure, StopAsked) = (at, failure, false);
    }

    private void Move(CurveState to, params CurveState[] from)
    {
        if (!from.Contains(State)) throw new InvalidOperationException($"Curve {Number} is {State}; it cannot become {to}.");
        State = to;
    }
}
