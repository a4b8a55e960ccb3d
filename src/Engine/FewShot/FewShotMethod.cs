using System.Text.Json.Serialization;
using FineTuneStudio.Engine.Training;

namespace FineTuneStudio.Engine.FewShot;

/// <summary>A way to learn labels from few examples.</summary>
[JsonConverter(typeof(JsonStringEnumConverter<FewShotMethod>))]
public enum FewShotMethod
{
    /// <summary>All weights of the model train.</summary>
    Full,

    /// <summary>A new head trains on a model that stays as it is.</summary>
    HeadOnly,

    /// <summary>Adapters train (Hu et al. 2021, arXiv:2106.09685), with the head.</summary>
    Lora,

    /// <summary>Nothing trains: see <see cref="NearestCentroid"/>.</summary>
    Centroid,
}

/// <summary>What is known of a method whatever the data.</summary>
public static class FewShotMethods
{
    /// <summary>Above this rate, heads of small models and adapters diverge.</summary>
    private const double FastestRate = 1e-2;

    /// <summary>
    /// What a curve begins with where nobody chose: 2e-5 with a tenth of the steps as warm-up, then falling linearly to 0, and AdamW with its bias
    /// correction, as in Mosbach et al. 2021 (arXiv:2006.04884) and Zhang et al. 2021 (arXiv:2006.05987).
    /// </summary>
    public static RunRecipe Basis { get; } = new() { LearningRate = 2e-5 };

    /// <summary>As it stands within a sentence.</summary>
    public static string Name(this FewShotMethod method) => method switch
    {
        FewShotMethod.Full => "full fine-tuning",
        FewShotMethod.HeadOnly => "head only",
        FewShotMethod.Lora => "LoRA",
        FewShotMethod.Centroid => "nearest centroid",
        _ => throw new ArgumentOutOfRangeException(nameof(method)),
    };

    /// <summary>The word for it on a command line.</summary>
    public static string Word(this FewShotMethod method) => method switch
    {
        FewShotMethod.Full => "full",
        FewShotMethod.HeadOnly => "head",
        FewShotMethod.Lora => "lora",
        FewShotMethod.Centroid => "centroid",
        _ => throw new ArgumentOutOfRangeException(nameof(method)),
    };

    /// <summary>The method of a word, whatever its letter case.</summary>
    /// <exception cref="TrainingException">There is none.</exception>
    public static FewShotMethod Parse(string word)
    {
        foreach (var method in Enum.GetValues<FewShotMethod>())
            if (string.Equals(method.Word(), word.Trim(), StringComparison.OrdinalIgnoreCase)) return method;
        throw new TrainingException($"There is no method \"{word.Trim()}\"; the methods are {string.Join(", ", Enum.GetValues<FewShotMethod>().Select(m => m.Word()))}.");
    }

    /// <summary>
    /// A basis as a method uses it. Its rate is that of full fine-tuning; LoRA takes ten times that (the two papers of RoBERTa and LoRA differ by 10 to 50) and a
    /// head alone fifty times, neither beyond 0.01. The basis's epochs and evaluations mean nothing: see <see cref="FewShotJob.LeastSteps"/>. The model is measured once,
    /// at the end, because choosing among checkpoints by the rows that are measured would flatter (Perez et al. 2021, arXiv:2105.11447).
    /// </summary>
    /// <param name="basis">Where it trains adapters of another kind, such as DoRA, <see cref="FewShotMethod.Lora"/> trains those.</param>
    public static RunRecipe Recipe(this FewShotMethod method, RunRecipe basis)
    {
        var plain = new RunRecipe();
        var common = basis with
        {
            Epochs = 1, EvaluationsPerEpoch = 1, EarlyStoppingPatience = 0, UnfreezeEpochs = 0, TrainableLayers = TrainableLayers.All, LastBlocks = plain.LastBlocks, Method = TrainingMethod.Full,
        };
        RunRecipe At(double times) => common with { LearningRate = Math.Max(basis.LearningRate, Math.Min(times * basis.LearningRate, FastestRate)) };
        return method switch
        {
            FewShotMethod.Full => common,
            FewShotMethod.HeadOnly => At(50) with { TrainableLayers = TrainableLayers.HeadOnly, LayerDecay = 1 },
            FewShotMethod.Lora => At(10) with { Method = basis.Method == TrainingMethod.Full ? TrainingMethod.Lora : basis.Method },
            _ => common,
        };
    }
}
