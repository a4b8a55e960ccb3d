using FineTuneStudio.Ui;

namespace FineTuneStudio.Reports;

/// Rows of a part whose prompt lost its beginning, and whose answer lost its end.
public sealed record CutRows(int Rows, int Prompts, int Answers);

/// What a report of a task that writes could read and write, in tokens. MaxLength is the recipe's, for prompt and answer together; Positions the model's;
/// Prompt and Answer are the most that was read of a prompt and written as an answer.
public sealed record TextLengths(int MaxLength, int Positions, int Prompt, int Answer, CutRows Train, CutRows Test)
{
    /// The sentence on prompts that were too long to be answered whole; "" where none was.
    public string Read(int cutPrompts) => cutPrompts == 0 ? "" : $"{Say.Count(cutPrompts, "prompt")} had more than {Say.Count(Prompt, "token")}{(Prompt == MaxLength ? ", the run’s max length, so" : ", so")} {(cutPrompts == 1 ? "its" : "their")} beginning was not read{(Prompt == MaxLength ? "." : $": of the model’s {Say.Count(Positions)} positions, {Say.Count(Answer)} are kept for the answer.")}";

    /// The sentences on rows that the max length cut, in training and in the measured loss, and what to change; null where it cut none.
    public string? Cut()
    {
        if (Train.Prompts + Train.Answers + Test.Prompts + Test.Answers == 0) return null;
        static string Of(CutRows rows, string part) => $"of {Say.Count(rows.Rows, $"{part} row")}, {Say.Count(rows.Prompts, "prompt")} lost {(rows.Prompts == 1 ? "its" : "their")} beginning and {Say.Count(rows.Answers, "answer")} {(rows.Answers == 1 ? "its" : "their")} end";
        var lost = Train.Answers + Test.Answers > 0 ? " What was cut off was neither learned nor measured: perplexity and token accuracy speak of what was left, and the model was not shown how those answers end." : " What was cut off was neither learned from nor measured with.";
        var change = MaxLength < Positions ? $"launch a run with a larger max length (this model takes up to {Say.Count(Positions)}), or shorten the texts" : $"this model has no more than {Say.Count(Positions)} positions, so shorten the texts or choose a base model with more";
        return $"The max length of {Say.Count(MaxLength, "token")} cut rows: {Of(Train, "train")}; {Of(Test, "test")}.{lost} To change it, {change}.";
    }
}
