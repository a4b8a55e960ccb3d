using System.Text.Json.Serialization;

namespace FineTuneStudio.Engine.Training;

/// <summary>In which numbers a model computes while it is trained and evaluated.</summary>
[JsonConverter(typeof(JsonStringEnumConverter<Precision>))]
public enum Precision { Float32, Bf16 }

/// <summary>
/// bfloat16 mixed precision (Micikevicius et al. 2018, arXiv:1710.03740; Kalamkar et al. 2019, arXiv:1905.12322), as torch.autocast on the CPU:
/// matrix products read and write bfloat16, while weights, norms, losses, gradients and the optimizer stay float32. An evaluation during a run
/// computes so too, as with Hugging Face Trainer's bf16=True (and not its bf16_full_eval, which casts the weights themselves). What is saved is
/// float32, and predictions with it are computed in float32.
/// </summary>
public static partial class MixedPrecision
{
    private static readonly Func<IDisposable>? Autocast = Found();

    /// <summary>Whether this build can; TorchSharp's packages have no autocast.</summary>
    public static bool IsSupported => Autocast is not null;

    /// <summary>Until it is disposed, forward passes on this thread run in <paramref name="precision"/>; null is float32. Backward belongs outside.</summary>
    public static IDisposable? Begin(Precision precision) => precision == Precision.Bf16 ? Autocast?.Invoke() : null;

    /// <summary>What is wrong with a recipe in this build, or null.</summary>
    public static string? Problem(RunRecipe recipe) => recipe.Precision == Precision.Float32 || IsSupported ? null
        : "Precision is bf16 mixed, but this build runs on TorchSharp's package, which has no autocast; choose float32, or build with the repository's own binding.";

    private static Func<IDisposable>? Found()
    {
        Func<IDisposable>? autocast = null;
        Find(ref autocast);
        return autocast;
    }

    static partial void Find(ref Func<IDisposable>? autocast);
}
