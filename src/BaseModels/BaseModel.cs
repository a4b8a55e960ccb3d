namespace FineTuneStudio.BaseModels;

/// Declared by the person who imports, and of a starter by the app that trained it; Unknown never counts as pretrained.
public enum ModelOrigin { Pretrained, Random, Unknown }

/// A model folder in the project's catalogue. The facts are measured from its files at import.
public sealed class BaseModel
{
    public int Id { get; init; }
    public required string ProjectId { get; init; }
    public required int Number { get; init; }
    public required string Name { get; init; }
    /// Folder name under the data folder's models.
    public required string StoredAs { get; init; }
    /// Where it came from, in the importer's words.
    public required string Source { get; init; }
    public required ModelOrigin Origin { get; init; }
    /// The number of the pretraining of this project that made it; null where it was imported.
    public int? PretrainingNumber { get; init; }
    /// Came with the app, and so with every project.
    public bool IsStarter { get; init; }
    public double? SuggestedLearningRate { get; init; }
    public required string Architecture { get; init; }
    public required long Parameters { get; init; }
    public required int VocabularySize { get; init; }
    public required int HiddenSize { get; init; }
    public required int Blocks { get; init; }
    public required int MaxPositions { get; init; }
    public string? License { get; init; }
    public required string WeightsHash { get; init; }
    public required bool CanTrain { get; init; }
    public string? WhyNot { get; init; }
    public required string CreatedById { get; init; }
    public required DateTime CreatedAt { get; init; }
}
