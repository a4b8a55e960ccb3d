using System.Text.Json;

namespace FineTuneStudio.Engine.Headless;

/// <summary>Shows how many rows are scored: one line that renews itself on a terminal, or one JSON object a line.</summary>
internal sealed class PredictProgress(TextWriter output, bool json)
{
    private readonly bool renews = !json && TrainProgress.IsTerminal(output);

    public void Show(int rows)
    {
        if (json) Json(new { Event = "progress", Rows = rows });
        else if (renews) output.Write($"\r\u001b[K{rows} rows scored");
    }

    /// <param name="labels">How many labels there are; null of a model without.</param>
    public void End(int rows, int? labels, string file)
    {
        if (json) Json(new { Event = "end", Rows = rows, Labels = labels, Out = file });
        else output.WriteLine($"{(renews ? "\r\u001b[K" : "")}{rows} rows scored{(labels is null ? "" : $" with {labels} labels")}, in {file}");
    }

    private void Json(object line) => output.WriteLine(JsonSerializer.Serialize(line, TrainProgress.Format));
}
