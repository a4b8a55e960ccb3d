using System.Globalization;
using FineTuneStudio.Engine.Training;
using FineTuneStudio.Ui;

namespace FineTuneStudio.Runs;

/// Recipe values as a person writes them: 5e-5 rather than 5E-05.
public static class RecipeText
{
    public static string Of(RecipeField field, object value) => value switch
    {
        double small and not 0 when Math.Abs(small) < 0.001 => small.ToString("0.##########e-0", CultureInfo.InvariantCulture),
        _ when field.Kind == RecipeFieldKind.Choice => field.Choices.FirstOrDefault(c => c.Value == field.Text(value))?.Label ?? field.Text(value),
        _ => field.Text(value),
    };

    public static string Range(RecipeField field, RunRecipe standard)
    {
        var begin = field.Kind == RecipeFieldKind.Choice ? "" : field.Max >= int.MaxValue ? $"{Say.Number(field.Min!.Value)} or more{Unit(field)}; " : $"{Say.Number(field.Min!.Value)} to {Say.Number(field.Max!.Value)}{Unit(field)}; ";
        var text = $"{begin}default {Of(field, field.Get(standard))}.";
        return char.ToUpperInvariant(text[0]) + text[1..];
    }

    /// "Epochs 3 → 4" for every field that differs.
    public static IReadOnlyList<(string Label, string From, string To)> Difference(RunRecipe from, RunRecipe to) =>
        [.. RunRecipe.Fields.Where(f => !f.Get(from).Equals(f.Get(to))).Select(f => (f.Label, Of(f, f.Get(from)), Of(f, f.Get(to))))];

    private static string Unit(RecipeField field) => field.Unit is null ? "" : " " + field.Unit;
}
