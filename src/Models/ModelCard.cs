using System.Text;
using FineTuneStudio.BaseModels;
using FineTuneStudio.Datasets;
using FineTuneStudio.Engine.FewShot;
using FineTuneStudio.Engine.Generation;
using FineTuneStudio.Engine.Metrics;
using FineTuneStudio.Engine.Models;
using FineTuneStudio.Engine.Training;
using FineTuneStudio.Reports;
using FineTuneStudio.Runs;
using FineTuneStudio.Ui;

namespace FineTuneStudio.Models;

/// The README.md of an exported model: only what was measured or recorded.
internal static class ModelCard
{
    internal static string Write(ReadModel.View view, DateTime at, bool adapter = false)
    {
        var recipe = RunRecipe.FromJson(view.Run.RecipeJson);
        var card = new StringBuilder();
        void Line(string line = "") => card.Append(line).Append('\n');
        Line("---");
        if (view.Base.License is { } license) Line($"license: {Yaml(license)}");
        Line($"library_name: {(adapter ? "peft" : "transformers")}");
        Line($"pipeline_tag: {Pipeline(view.Project.Task)}");
        Line("tags:");
        Line($"- {Pipeline(view.Project.Task)}");
        Line($"- {ModelFolder.ModelType(view.Folder)}");
        Line("---");
        Line();
        Line($"# {One(view.Project.Name)}, run {view.Run.Number}");
        Line();
        Line(One(view.Project.Purpose));
        Line();
        Line($"**{One(view.Standing)}**");
        Line();
        Line("## What it does");
        Line();
        Line(Does(view));
        Line();
        Line("## Measured on the test part");
        Line();
        if (view.Report is not { } body) Line("Nothing: no report was built of this model.");
        else
        {
            Line(Plain(ReportSentences.Answer(body)));
            Line();
            var metrics = body.Task.Metrics();
            Line($"| model |{string.Concat(metrics.Select(m => $" {m.Name()} | 95 % interval |"))}");
            Line($"|---|{string.Concat(metrics.Select(_ => "---|---|"))}");
            void Row(string name, Scores s) => Line($"| {name} |{string.Concat(metrics.Select(m => $" {Plain($"{Say.Score(s.Of(m).Value)} | {ReportSentences.Interval(s.Of(m))}")} |"))}");
            Row("this model", body.Model);
            foreach (var baseline in body.Baselines) Row(baseline.Name, baseline.Scores);
            Line();
            foreach (var baseline in body.Baselines) Line("- " + Plain(ReportSentences.Against(body, baseline)));
            Line("- " + ReportSentences.Looks(body.TestLooks));
            if (body.Fit is { } fit) Line("- " + fit.Sentence);
            if (body.Curves is { Shown.Count: > 0 } curves)
            {
                Line();
                Line("## What more rows would bring");
                foreach (var curve in curves.Shown) Curve(curve, body, Line);
                Line();
                Line(ReportSentences.Foreseen);
            }
        }
        Line();
        Line("## Data and training");
        Line();
        Line($"- Data version {view.Version}, {(view.Project.Task == TextTask.TokenClassification ? $"{Say.Count(view.Labels.Sum(l => l.Count), "labelled span")} in " : "")}{(Answers.Of(view.Project.Task) is { IsLabel: false } given ? $"{Say.Count(view.LabelledRows, "row")} with {given.One}" : Say.Count(view.LabelledRows, "labelled row"))}.");
        if (view.Report is { } used) Line($"- Split {used.Data.Split}, seed {used.Data.Seed}: {Say.Count(used.Data.Train)} train, {Say.Count(used.Data.Validation)} validation, {Say.Count(used.Data.Test, "test row")}.");
        Line($"- Base model: {One(view.Base.Name)} ({view.Base.Architecture}, {Say.Count(view.Base.Parameters)} parameters), from {One(view.Base.Source)}; origin {view.Base.Origin.ToString().ToLowerInvariant()}{(view.Base.Origin == ModelOrigin.Pretrained ? "" : ", so it does not count as pretrained")}; licence {(view.Base.License is { } says ? One(says) : "not stated")}.");
        Line($"- Method: {Method(view, recipe)}");
        if (adapter) Line($"- Weights: adapter_model.safetensors in F32, {Alone(view)}");
        else Line(view.Project.Task == TextTask.Generation ? "- Weights: one model.safetensors with the base model's types; what was learned in F32 is rounded to them."
            : "- Weights: one model.safetensors in F32, as training computes, whatever files and type the base model came in.");
        Line($"- Best checkpoint at step {Say.Count(view.Run.BestStep ?? 0)} of {Say.Count(view.Run.TotalSteps)}, chosen on the validation part.");
        Line($"- Recipe: {string.Join(", ", RunRecipe.Fields.Where(f => f.IsShown(view.Project.Task, recipe)).Select(f => $"{f.Label} {RecipeText.Of(f, f.Get(recipe))}"))}.");
        Line();
        Line("## Limits");
        Line();
        Line(view.Project.Task switch
        {
            TextTask.TokenClassification or TextTask.QuestionAnswering => $"- It reads {recipe.MaxLength} tokens at once; longer texts were measured in windows that overlap by a quarter.",
            TextTask.Generation when view.Report?.Lengths is { } lengths && lengths.Prompt < recipe.MaxLength =>
                $"- It learned from at most {recipe.MaxLength} tokens of prompt and answer, and wrote the measured answers from at most {lengths.Prompt} tokens of a prompt; of longer ones the beginning was cut off.",
            TextTask.Generation => $"- It learned from and was measured on at most {recipe.MaxLength} tokens of a prompt; of longer ones the beginning was cut off.",
            _ => $"- It reads at most {recipe.MaxLength} tokens of a text; the rest is cut off.",
        });
        if (view.Report?.Lengths?.Cut() is { } cut) Line($"- {cut}");
        Line(Limit(view.Project.Task));
        Line("- Its numbers hold for texts like those it was measured on; elsewhere they may be lower.");
        if (view.Report is { } report)
            foreach (var score in report.Model.PerLabel.Where(s => s.Support > 0).OrderBy(s => s.F1).Take(3))
                Line($"- Weak at `{One(report.Labels[score.Label])}`: F1 {Say.Score(score.F1)} on {Say.Count(score.Support, view.Project.Task == TextTask.TokenClassification ? "true span" : "test row")}.");
        Line();
        Line("## Fingerprints (SHA-256)");
        Line();
        if (view.Report is { } facts)
        {
            Line($"- data version: `{facts.Fingerprints.Data}`");
            Line($"- split: `{facts.Fingerprints.Split}`");
            Line($"- recipe: `{facts.Fingerprints.Recipe}`");
            Line($"- base model's weights: `{facts.Fingerprints.BaseWeights}`");
            Line($"- these weights: `{facts.Fingerprints.Weights}`");
            Line($"- report {view.ReportNumber}: `{view.ReportHash}`");
        }
        else
        {
            Line($"- recipe: `{view.Run.RecipeHash}`");
            Line($"- base model's weights: `{view.Base.WeightsHash}`");
            if (view.Run.WeightsHash is { } weights) Line($"- these weights: `{weights}`");
        }
        Line();
        Line($"Written by FineTuneStudio on {at:yyyy-MM-dd HH:mm} UTC.");
        return card.ToString();
    }

    private static void Curve(ReportCurve curve, ReportBody body, Action<string> line)
    {
        line("");
        line($"{Plain(curve.How())} {One(curve.Of(body))} Mean {body.Metric.Name()} with its 95 % interval over the draws:");
        line("");
        line($"| examples a label | rows |{string.Concat(curve.Lines.Select(l => $" {l.Method.Name()} |"))}");
        line($"|---|---|{string.Concat(curve.Lines.Select(_ => "---|"))}");
        foreach (var row in curve.Lines.SelectMany(l => l.Means).GroupBy(m => m.K).OrderBy(g => g.Key))
            line($"| {Say.Count(row.Key)} | {Say.Count(row.First().Rows)} |{string.Concat(curve.Lines.Select(l => l.Means.SingleOrDefault(m => m.K == row.Key) is not { } m ? " not measured |"
                : $" {Say.Score(m.Mean)}{(m.Interval is { } i ? $" ({Say.Score(i.Low)} to {Say.Score(i.High)})" : "")} |"))}");
        line("");
        line($"Always saying `{One(curve.MajorityLabel)}` has {Say.Score(curve.Majority)}.");
        line("");
        foreach (var told in curve.Advice) line($"- {told.Method.Name()}: {told.Sentence}");
    }

    /// The Hub's name for what the model does.
    private static string Pipeline(TextTask task) => task switch
    {
        TextTask.SingleLabel or TextTask.MultiLabel or TextTask.Regression => "text-classification",
        TextTask.TokenClassification => "token-classification",
        TextTask.Generation => "text-generation",
        TextTask.QuestionAnswering => "question-answering",
        _ => throw new ArgumentOutOfRangeException(nameof(task)),
    };

    private static string Does(ReadModel.View view) => view.Project.Task switch
    {
        TextTask.Generation => $"Writes an answer to a prompt. {PromptWords(RunRecipe.FromJson(view.Run.RecipeJson))}",
        TextTask.QuestionAnswering => $"Finds the words of a context that answer a question, or says that there are none. Question and context are one row, the context cut into windows; the answer is the span whose logits of beginning and end sum to the most, with at most {AnswerSpans.MostTokens} tokens, and there is none where the first token's sum is not less.",
        TextTask.SingleLabel => $"Answers one of {Say.Count(view.Labels.Count, "label")} for a text: {Names(view)}.",
        TextTask.TokenClassification => $"Marks spans of {Say.Count(view.Labels.Count, "type")} in a text: {Names(view)}. Its labels are O, and B- and I- of each type; the first token of each word carries the word's label.",
        TextTask.MultiLabel => $"Answers any number of {Say.Count(view.Labels.Count, "label")} for a text, also none: {Names(view)}. A label is said from a probability of {Say.Score(view.Report?.LabelSets?.Threshold ?? 0.5)} on; the probabilities are sigmoids of the logits.",
        TextTask.Regression => "Answers a number for a text: the one logit, in the unit of the data."
            + (view.Report?.NumberErrors is { } seen ? $" It was trained on values from {Plain(Say.Score(seen.TrainLow))} to {Plain(Say.Score(seen.TrainHigh))}." : ""),
        _ => throw new ArgumentOutOfRangeException(nameof(view)),
    };

    /// What was trained, and what of it is in the file.
    private static string Method(ReadModel.View view, RunRecipe recipe)
    {
        var head = view.Project.Task != TextTask.Generation;
        if (recipe.Method == TrainingMethod.Full)
            return recipe.TrainableLayers switch
            {
                TrainableLayers.HeadOnly => "only the head was trained; everything below it is the base model's, unchanged.",
                TrainableLayers.LastBlocks => $"{(head ? "the head and " : "")}the last {Say.Count(recipe.LastBlocks, "block")} of the base model were trained; the rest is unchanged.",
                _ => "all of the model's own weights were trained.",
            };
        var name = recipe.Method switch { TrainingMethod.RsLora => "rsLoRA", TrainingMethod.Dora => "DoRA", _ => "LoRA" };
        return $"{name} adapters of rank {recipe.LoraRank} and alpha {Say.Number(recipe.LoraAlpha)} on {string.Join(", ", LoraFolder.Targets(view.AdapterFolder).Select(t => $"`{t}`"))}{(head ? "; the head was trained in full" : "")}. The base model's own weights were not trained; the whole model has the adapters merged into them.";
    }

    private static string Alone(ReadModel.View view)
    {
        if (view.Project.Task == TextTask.Generation) return "the adapters alone; they need the base model.";
        var outputs = EncoderConfig.Read(view.Folder).Labels;
        return $"the adapters and the head alone; they need the base model with a head of {Say.Count(outputs.Count, "output")}, which are in order {string.Join(", ", outputs.Select(o => $"`{One(o)}`"))}.";
    }

    private static string PromptWords(RunRecipe recipe) => recipe.PromptFormat switch
    {
        PromptFormat.Plain => "Prompts are plain text with a line break at the end.",
        PromptFormat.Instruction => "Prompts stand under `### Instruction:`, and its answer follows `### Response:`.",
        PromptFormat.ChatMl => "Prompts are written as ChatML.",
        PromptFormat.Llama3 => "Prompts are written in Llama 3's chat format.",
        _ => "Prompts are written as ChatML or in Llama 3's chat format where the chat template in the folder has its marks, without the system header that templates since Llama 3.1 put first; else as plain text with a line break at the end.",
    };

    /// A file has the minus that programs read.
    private static string Plain(string words) => words.Replace('−', '-');

    private static string Names(ReadModel.View view) => string.Join(", ", view.Labels.Take(100).Select(l => $"`{One(l.Name)}`")) + (view.Labels.Count > 100 ? ", …" : "");

    private static string Limit(TextTask task) => task switch
    {
        TextTask.Generation => "- It can state what is not true, with the same ease as what is.",
        TextTask.QuestionAnswering => "- Its answers are copied from the context, letter for letter: it cannot count, sum up or put together what stands apart.",
        TextTask.SingleLabel => "- It always answers one of its labels, also for a text that fits none.",
        TextTask.TokenClassification => "- Spans begin and end with words, and no two overlap. Text was made of words joined by single blanks where its files came as tagged words.",
        TextTask.MultiLabel => "- Its labels are decided one by one; combinations that make no sense are possible.",
        TextTask.Regression => "- It answers a number for every text, and may go beyond the values it was trained on.",
        _ => throw new ArgumentOutOfRangeException(nameof(task)),
    };

    /// One line of Markdown from whatever people typed.
    private static string One(string text)
    {
        var line = new StringBuilder();
        foreach (var c in text) line.Append(c switch { '\r' or '\n' or '\t' => " ", '<' => "&lt;", '|' => "\\|", '`' => "'", _ => c.ToString() });
        return line.ToString().Trim();
    }

    private static string Yaml(string text) => "\"" + One(text).Replace("\\", "\\\\").Replace("\"", "\\\"") + "\"";
}
