using System.Globalization;
using System.Runtime.InteropServices;
using FineTuneStudio.Engine.Training;
using TorchSharp;

namespace FineTuneStudio.Engine.Tests.Training;

/// <summary>The system itself refuses memory: the process's address space is limited while a run trains.</summary>
[Collection("training")]
public sealed class OutOfMemoryTests : IDisposable
{
    private readonly TemporaryFolder folder = new();

    private static readonly RunRecipe Wide = SmallTexts.Recipe with { BatchSize = 256, MaxLength = 128, Epochs = 2, LearningRate = 5e-4, EvaluationsPerEpoch = 1 };

    [Theory, Trait("Cost", "Slow")]
    [InlineData(ActivationCheckpointing.Off, 150)]
    [InlineData(ActivationCheckpointing.On, 60)]
    public void A_batch_that_does_not_fit_is_halved_with_the_losses_of_the_smaller_batch_also_after_a_kill(ActivationCheckpointing checkpointing, long mebibytes)
    {
        var (wide, kill) = (Wide with { ActivationCheckpointing = checkpointing }, 3);
        if (!OperatingSystem.IsLinux()) return;
        // Libraries are loaded and threads started before memory is short.
        SmallTexts.Run(SmallTexts.Job(folder.File("first"), SmallTexts.Recipe with { Epochs = 1 }));
        GC.Collect();
        GC.WaitForPendingFinalizers();
        var live = torch.Tensor.TotalCount;
        var cut = Long("cut", wide);
        var before = new List<TrainingEvent>();
        Limited(mebibytes, lift => Assert.Throws<InvalidOperationException>(() => FineTune.Run(cut, e =>
        {
            before.Add(e);
            // Near the limit a later step might halve once more, and the plain run's batches are the last ones from its first step on.
            if (e is StepDone { Step: 1 }) lift();
            if (e is StepDone s && s.Step == kill) throw new InvalidOperationException("killed");
        }, () => StopRequest.None, default)));
        var said = before.OfType<LogLine>().Where(l => l.Text.StartsWith("There was not enough memory for a batch of")).Select(l => l.Text).ToList();
        Assert.NotEmpty(said);
        Assert.Equal("There was not enough memory for a batch of 256 rows of up to 128 tokens; from step 1 on the rows of a step are taken in batches of 128.", said[0]);
        var (_, after) = SmallTexts.Run(cut, resume: true);

        var batch = 256 >> said.Count;
        var (_, plain) = SmallTexts.Run(Long("plain", wide with { BatchSize = batch, GradientAccumulation = 256 / batch }));
        var resumedAfter = after.OfType<StepDone>().First().Step - 1;
        Assert.InRange(resumedAfter, 1, kill);
        Assert.Equal(Losses(plain), Losses(before.Where(e => e is StepDone s && s.Step <= resumedAfter).Concat(after)));
        GC.Collect();
        GC.WaitForPendingFinalizers();
        Assert.Equal(live, torch.Tensor.TotalCount);
    }

    [Fact]
    public void A_single_row_that_does_not_fit_ends_the_run_with_what_to_change()
    {
        Assert.Equal("There is not enough memory for a batch of 1 row at a max length of 128 tokens, so the run cannot go on. Nothing was saved yet. Lower the max length, train fewer layers, start from a smaller base model, or free memory on this machine. The system said: DefaultCPUAllocator: can't allocate memory.",
            OutOfMemory.Explain(new ExternalException("DefaultCPUAllocator: can't allocate memory.\nat"), "a batch of 1 row", 128, "Nothing was saved yet.").Message);
        Assert.Contains("Nothing was saved yet. Turn on activation checkpointing, lower the max length, train fewer layers,",
            OutOfMemory.Explain(new ExternalException("out of memory"), "a batch of 1 row", 128, "Nothing was saved yet.", keepsBlocks: true).Message);
        Assert.False(OutOfMemory.Refused(new ExternalException("The size of tensor a (3) must match the size of tensor b (4)")));
    }

    private FineTuneJob Long(string name, RunRecipe recipe)
    {
        var job = SmallTexts.Job(folder.File(name), recipe, train: 512, validation: 12);
        return job with { Train = [.. job.Train.Select(r => (TrainingExample)new LabeledText(r.RowId, string.Join(' ', Enumerable.Repeat(r.Text, 20)), (int)(r.RowId - 1) % 3))] };
    }

    private static double[] Losses(IEnumerable<TrainingEvent> events) => events.OfType<StepDone>().Select(s => s.TrainLoss).ToArray();

    /// <summary>Gives the process this much address space beyond what it has; the collector keeps to what it has reserved at its start.</summary>
    /// <param name="work">May lift the limit before its end.</param>
    private static void Limited(long mebibytes, Action<Action> work)
    {
        PeakMemory.Trim();
        var pages = File.ReadAllText("/proc/self/statm").Split(' ')[0];
        Assert.Equal(0, getrlimit(AddressSpace, out var was));
        Assert.Equal(0, setrlimit(AddressSpace, new Limit { Soft = (ulong)(long.Parse(pages, CultureInfo.InvariantCulture) * Environment.SystemPageSize + (mebibytes << 20)), Hard = was.Hard }));
        void Lift() => Assert.Equal(0, setrlimit(AddressSpace, was));
        try { work(Lift); }
        finally { Lift(); }
    }

    private const int AddressSpace = 9;

    [StructLayout(LayoutKind.Sequential)]
    private struct Limit { public ulong Soft, Hard; }

    [DllImport("libc")]
    private static extern int getrlimit(int resource, out Limit limit);

    [DllImport("libc")]
    private static extern int setrlimit(int resource, in Limit limit);

    public void Dispose() => folder.Dispose();
}
