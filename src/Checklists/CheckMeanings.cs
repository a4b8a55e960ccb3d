namespace FineTuneStudio.Checklists;

/// What each measured thing tells, for somebody who meets it first. Stored reports keep the facts, this keeps their words.
public static class CheckMeanings
{
    private static readonly Dictionary<string, string> Meanings = new()
    {
        ["D5"] = "How many rows there are to learn from.",
        ["D4"] = "What is rare needs examples too, or the model does not learn it.",
        ["D6"] = "A repeated text weighs twice in training and teaches nothing new.",
        ["D7"] = "The same text with two answers teaches both, and they cannot both be met.",
        ["D8"] = "A row without an answer teaches nothing.",
        ["D13"] = "Rows of the file that did not fit its format and are missing here.",
        ["D1b"] = "Somebody read the text beside its label and decided.",
        ["labels"] = "What there is to tell apart, and how many examples of each.",
        ["D3"] = "Examples of the rarest ÷ examples of the rarest and the most frequent together.",
        ["D3b"] = "A label that few rows bear is easily never answered.",
        ["D3c"] = "Some metrics hardly notice a rare label that is always wrong.",
        ["V1"] = "The model learns from train, its best checkpoint is chosen on validation, and test measures it at the end.",
        ["V2"] = "The fewer the test rows, the more of what they measure is chance.",
        ["V3"] = "Each evaluation measures the model on the validation rows while it trains.",
        ["V4"] = "Early stopping ends a run that no longer gets better on the validation rows.",
        ["V5"] = "What was seen in training is no test.",
        ["V9"] = "Cramér's V compares shares in train with shares in test: 0 where they are the same, 1 where they have nothing in common.",
        ["V10"] = "What was never trained on cannot be answered.",
        ["V11"] = "Each look lets the next choice be fitted to the test part a little.",
        ["P1"] = "How much of the model came from its file; the rest began at random.",
        ["P2"] = "A pretrained model helps a new head to lower its loss, or foresees answers, where random weights do not; neither does one whose weights were put in wrong places.",
        ["P7"] = "Where the base model is from, and whether you may use it.",
        ["P5"] = "Too high a rate destroys what a pretrained model knows, too low a one changes nothing.",
        ["P3"] = "A simple model on the same rows is the least that fine-tuning should beat.",
        ["origin"] = "Pretrained weights know the language already, random ones know nothing.",
        ["H1"] = "Other settings may do better, which only trying them shows.",
        ["H2"] = "A setting that had one or two values says little about the others.",
        ["H4"] = "The seed alone changes a result; several show by how much.",
        ["H6"] = "A model that does better on validation than on test was fitted to validation by choices made there.",
        ["H7"] = "Defaults are a start that nobody chose for this data.",
        ["M1"] = "How much better the model does on rows it learned from than on others, in proportion; a wide gap is over-fitting.",
        ["M2"] = "How far the validation loss has risen above its lowest; a rise is over-fitting.",
        ["M3"] = "Worse on validation while better on train is the first sign of over-fitting.",
        ["M4"] = "Whether the run ended worse than it once was.",
        ["M6"] = "Where the loss or the gradients jump, the learning rate may be too high.",
        ["verdict"] = "What the three measures of over-fitting and the train loss say together.",
    };

    public static string Of(Fact fact) => Meanings.GetValueOrDefault(fact.Id, "");
}
