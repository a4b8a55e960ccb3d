using FineTuneStudio.Engine.Training;

namespace FineTuneStudio.Engine.Tests.Training;

/// <summary>Short made-up messages in three labels that a few dozen steps can tell apart.</summary>
static class SmallTexts
{
    public static readonly string[] Labels = ["delivery", "payment", "praise"];

    private static readonly string[][] Words =
    [
        ["parcel", "late", "waiting", "box", "road", "van"], ["card", "price", "paid", "money", "bill", "bank"], ["great", "loved", "good", "happy", "best", "nice"],
    ];

    private static readonly string[] Fillers = ["the", "was", "and", "my", "it", "we", "this", "again", "today", "for me"];

    public static List<LabeledText> Rows(int count, int seed = 7)
    {
        var random = new Random(seed);
        return Enumerable.Range(0, count).Select(i =>
        {
            var label = i % 3;
            var words = Enumerable.Range(0, 3 + random.Next(9)).Select(_ => random.Next(2) == 0 ? Words[label][random.Next(6)] : Fillers[random.Next(10)]).Append(Words[label][random.Next(6)]);
            return new LabeledText(i + 1, string.Join(' ', words), label);
        }).ToList();
    }

    public static readonly RunRecipe Recipe = new()
    {
        Epochs = 3, LearningRate = 2e-3, BatchSize = 8, MaxLength = 32, Dropout = 0.1, EvaluationsPerEpoch = 2, EarlyStoppingPatience = 0, Metric = Metric.Accuracy,
    };

    public static FineTuneJob Job(string output, RunRecipe? recipe = null, int train = 240, int validation = 60) =>
        new(recipe ?? Recipe, Repository.PracticeModel, Labels, Rows(train), Rows(validation, seed: 8), output);

    public static (FineTuneResult Result, List<TrainingEvent> Events) Run(FineTuneJob job, Func<IReadOnlyList<TrainingEvent>, StopRequest>? stop = null, CancellationToken cancel = default, bool resume = false)
    {
        var events = new List<TrainingEvent>();
        return (FineTune.Run(job, events.Add, () => stop?.Invoke(events) ?? StopRequest.None, cancel, resume), events);
    }
}
