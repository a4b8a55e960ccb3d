namespace FineTuneStudio.Engine.Models;

/// <summary>What a model folder says about itself, found without running anything in it.</summary>
/// <param name="Architecture">First entry of "architectures" in config.json; where there is none, the class of a language model's family, else "".</param>
/// <param name="ModelType">"model_type" of config.json, or "".</param>
/// <param name="Parameters">Floating-point numbers in the weight file or its shards, a head included; 0 if a file is missing or refused.</param>
/// <param name="VocabularySize">Rows of the token embedding, by config.json; 0 if not said.</param>
/// <param name="HiddenSize">Width, by config.json; 0 if not said.</param>
/// <param name="Layers">Number of blocks, by config.json; 0 if not said.</param>
/// <param name="MaxPositions">Most tokens in a text, by config.json; 0 if not said. For RoBERTa fewer than the rows of its table.</param>
/// <param name="License">From the front matter of README.md, else recognised in a LICENSE file, else null.</param>
/// <param name="Sha256">SHA-256 of the weight file, or of its shards in the order of the index, in lower-case hex; "" if one is missing.</param>
/// <param name="CanTrain">Whether this product can fine-tune it.</param>
/// <param name="WhyNot">If not, every reason, in plain sentences; else null.</param>
/// <param name="Files">All files of the folder, relative, in order.</param>
public sealed record ModelFacts(
    string Architecture,
    string ModelType,
    long Parameters,
    int VocabularySize,
    int HiddenSize,
    int Layers,
    int MaxPositions,
    string? License,
    string Sha256,
    bool CanTrain,
    string? WhyNot,
    IReadOnlyList<string> Files)
{
    /// <summary>Whether it writes text, token after token, rather than judging one.</summary>
    public bool IsLanguageModel => CausalTensors.ModelTypes.Contains(ModelType);
}
