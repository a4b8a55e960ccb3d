namespace FineTuneStudio.Checklists;

/// The five do's and five don'ts of supervised fine-tuning, in pairs.
public static class DosAndDonts
{
    public const string QualityData = "quality-data", NoPoorLabels = "no-poor-labels", Validate = "validate", NoSkippedValidation = "no-skipped-validation",
        Pretrained = "pretrained", NoScratch = "no-scratch", Experiment = "experiment", NoDefaults = "no-defaults", Monitor = "monitor", NoIgnoredFit = "no-ignored-fit";

    public sealed record Item(string Key, bool IsDo, string Title);

    public static readonly IReadOnlyList<Item> All =
    [
        new(QualityData, true, "Use high-quality labelled data"), new(NoPoorLabels, false, "Don't train on poorly labelled or imbalanced data"),
        new(Validate, true, "Validate regularly"), new(NoSkippedValidation, false, "Don't skip validation"),
        new(Pretrained, true, "Leverage pretrained models"), new(NoScratch, false, "Don't train from scratch"),
        new(Experiment, true, "Experiment with hyperparameters"), new(NoDefaults, false, "Don't rely on defaults"),
        new(Monitor, true, "Monitor over- and underfitting"), new(NoIgnoredFit, false, "Don't ignore over- and underfitting"),
    ];
}
