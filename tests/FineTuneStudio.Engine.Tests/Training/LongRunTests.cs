using FineTuneStudio.Engine.Training;
using TorchSharp;
using Xunit.Abstractions;

namespace FineTuneStudio.Engine.Tests.Training;

/// <summary>A long run holds at its end what it held near its beginning.</summary>
[Collection("training"), Trait("Cost", "Slow")]
public sealed class LongRunTests(ITestOutputHelper output) : IDisposable
{
    private readonly TemporaryFolder folder = new();

    [Fact]
    public void Over_two_thousand_steps_of_full_fine_tuning_memory_and_tensors_stay_where_they_were_at_step_200() =>
        StaysLevel(SmallTexts.Job(folder.Path, SmallTexts.Recipe with { Epochs = 70, BatchSize = 4, EvaluationsPerEpoch = 1, LearningRate = 5e-4 }, train: 120, validation: 12));

    [SkippableFact]
    public void Over_two_thousand_steps_of_LoRA_on_Llama_memory_and_tensors_stay_where_they_were_at_step_200()
    {
        var llama = Shared.Find("goldens/llama-tiny");
        List<AnsweredPrompt> Rows(int from, int count) => [.. Enumerable.Range(from, count).Select(i => new AnsweredPrompt(i, $"How many are {i} and {i % 7}{string.Concat(Enumerable.Repeat(", please", i % 3))}?", $"{i + i % 7}"))];
        StaysLevel(new(SmallTexts.Recipe with { Epochs = 70, BatchSize = 4, EvaluationsPerEpoch = 1, LearningRate = 1e-3, MaxLength = 64, Dropout = null, Metric = FineTuneStudio.Engine.Metrics.Metric.Perplexity, Method = TrainingMethod.Lora, LoraDropout = 0.1 },
            llama, [], Rows(0, 120), Rows(300, 12), folder.Path, TextTask.Generation));
    }

    /// <summary>
    /// Resident memory after the last step at most 2 % above that after step 200, and as many live tensors, with evaluations and
    /// checkpoints on the way. Before each reading garbage is collected and free native memory given back, so that what is held is compared.
    /// A short run comes first, because the just-in-time compiler takes a method up again at its 30th and 60th call, which for an
    /// evaluation is far into the run, and keeps some megabytes.
    /// </summary>
    internal void StaysLevel(FineTuneJob job)
    {
        var (memory, tensors) = (new Dictionary<int, long>(), new Dictionary<int, long>());
        var (evaluations, checkpoints, last) = (0, 0, 0);
        SmallTexts.Run(job with { OutputFolder = folder.File("warm"), Recipe = job.Recipe with { Epochs = 3, EvaluationsPerEpoch = 25 } });
        FineTune.Run(job with { OutputFolder = folder.File("long") }, e =>
        {
            if (e is EvaluationDone) evaluations++;
            if (e is CheckpointSaved) checkpoints++;
            if (e is not StepDone step) return;
            last = step.TotalSteps;
            // A batch without padding has no mask, which is one tensor fewer: the most of the steps around the reading is compared.
            for (var mark = 200; mark <= last; mark += 200)
                if (step.Step > mark - 100 && step.Step <= mark) tensors[mark] = Math.Max(tensors.GetValueOrDefault(mark), torch.Tensor.TotalCount);
            if (step.Step % 200 != 0) return;
            GC.Collect(GC.MaxGeneration, GCCollectionMode.Aggressive, blocking: true, compacting: true);
            GC.WaitForPendingFinalizers();
            PeakMemory.Trim();
            memory[step.Step] = Environment.WorkingSet;
        }, () => StopRequest.None, default);
        var end = memory.Keys.Max();
        foreach (var (step, bytes) in memory) output.WriteLine($"step {step}: {bytes / 1048576.0:0.0} MiB resident, {tensors[step]} tensors");
        Assert.True(last >= 2000 && end >= 2000 && evaluations >= 10 && checkpoints >= evaluations, $"{last} steps, {evaluations} evaluations, {checkpoints} checkpoints");
        Assert.Equal(tensors[200], tensors[end]);
        Assert.True(memory[end] <= 1.02 * memory[200], $"{memory[end] / 1048576.0:0.0} MiB at step {end}, {memory[200] / 1048576.0:0.0} MiB at step 200");
    }

    public void Dispose() => folder.Dispose();
}
