using System.Text.Json;
using FineTuneStudio.Engine.Models;
using FineTuneStudio.Runs;

namespace FineTuneStudio.Pretraining;

/// Of a model that begins with new weights, by the names of Turc et al. 2019, arXiv:1908.08962.
public enum NewSize { Tiny, Mini, Small }

/// What a person chose. Model is the number of the base model to go on with; null begins with new weights of the size, on a vocabulary learned from the train text.
/// Train and HeldOut are texts' ids; Share is held out of the train texts, by whole documents, where no text is.
public sealed record PretrainChoice(string Name, int? Model, NewSize Size, int Vocabulary, IReadOnlyList<int> Train, IReadOnlyList<int> HeldOut, double Share, int? Steps)
{
    /// Every so many documents one is held out; 0 holds out none.
    public int EveryOf(long documents) => Share == 0 || HeldOut.Count > 0 ? 0 : (int)Math.Min(documents, Math.Round(1 / Share));

    internal static ModelShape Shape(NewSize size, int positions) => size switch
    {
        NewSize.Tiny => new(2, 128, 2, positions), NewSize.Mini => new(4, 256, 4, positions), _ => new(4, 512, 8, positions),
    };
}

/// Pretraining of a model on texts of the project: masked words with an encoder, the next token with a language model.
public sealed class PretrainRun() : TrainingRun(Pretraining)
{
    public const string Pretraining = "pretraining";

    public required string ChoiceJson { get; init; }
    /// The base model that it goes on with; null where it begins with new weights.
    public required int? FromModelId { get; init; }
    /// Of the texts, as they were called when it was launched: their names.
    public required string TextNames { get; init; }
    /// Learned from, less what is held out; known when it has begun.
    public long? TrainWords { get; set; }
    public long? HeldOutWords { get; set; }

    public PretrainChoice Choice => JsonSerializer.Deserialize<PretrainChoice>(ChoiceJson)!;
    public override string Word => "pretraining";
    public override bool CountsSteps => Choice.Steps is not null;
}
