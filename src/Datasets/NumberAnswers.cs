using System.Globalization;
using System.Text.RegularExpressions;
using FineTuneStudio.Engine.Training;
using FineTuneStudio.Ui;

namespace FineTuneStudio.Datasets;

/// A number a row: the answer is it, in the invariant culture. A cell may have a decimal point or a decimal comma. Where three digits
/// stand behind its comma, which could be thousands as well, another cell of the column has to show that commas are decimal.
public sealed partial class NumberAnswers(bool hasDecimalCommas = false) : Answers
{
    public static readonly NumberAnswers All = new();

    private static readonly string[] UsualNames = ["score", "value", "rating", "target", "label", "y", "complexity", "similarity", "grade"];

    public override string Role => "Number";

    public override string Missing => "without a number";
    public override string One => "a number";
    public override string Many => "numbers";
    public override bool IsLabel => false;
    public override string? NamesTitle => null;

    public override string Stratum => "range of values";

    public override string Spread => "Low and high numbers are spread alike over the three parts: sorted by number, the rows are cut into ranges with about as many rows each, and each range is divided by these shares.";

    public override bool HasPairs => true;

    /// A column of numbers is the answer rather than one of few values.
    public override ColumnMapping Refine(ColumnMapping mapping, IReadOnlyList<RawRow> rows)
    {
        var whole = rows.Where(r => r.Fault is null && r.Cells.Count == mapping.Columns.Count).ToList();
        bool Numbers(int i) => mapping.Columns[i].Role != ColumnRole.Text && whole.Select(r => r.Cells[i].Trim()).Where(c => c.Length > 0).ToList() is { Count: > 0 } cells
            && cells.Count(c => Parse(c) is not null) >= 0.9 * cells.Count && cells.Distinct().Count() > 2;
        var found = Enumerable.Range(0, mapping.Columns.Count).Where(Numbers).OrderByDescending(i => UsualNames.Contains(mapping.Columns[i].Name.Trim().ToLowerInvariant())).ThenByDescending(i => i).Cast<int?>().FirstOrDefault();
        return found is not { } at ? mapping : mapping with { Columns = [.. mapping.Columns.Select((c, i) => i == at ? c with { Role = ColumnRole.Label } : c.Role == ColumnRole.Label ? c with { Role = ColumnRole.Attribute } : c)] };
    }

    public override (Answers Answers, string? Decided) Survey(FileFormat format, ColumnMapping mapping, IEnumerable<RawRow> rows)
    {
        var at = mapping.PlaceOf(ColumnRole.Label);
        return (at < 0 ? this : new NumberAnswers(rows.Any(r => r.Fault is null && r.Cells[at].Trim() is var cell && cell.Contains(',') && !Thousands().IsMatch(cell) && Parse(cell) is not null)), null);
    }

    public override (string? Answer, string? Fault) Read(string cell, string column, string text)
    {
        cell = cell.Trim();
        if (cell.Length == 0) return (null, null);
        if (Thousands().IsMatch(cell) && cell.Contains(',') != hasDecimalCommas)
        {
            var (whole, point) = (cell.Replace(",", "").Replace(".", ""), cell.Replace(',', '.'));
            return (null, hasDecimalCommas ? $"“{cell}” can be {whole} or {point}: other cells of “{column}” have decimal commas. Write {whole} or {cell.Replace('.', ',')}."
                : $"“{cell}” can be {whole} or {point}: three digits stand behind the comma, and no other cell of “{column}” shows that commas are decimal. Write {whole} or {point}.");
        }
        if (Parse(cell) is { } number) return (number.ToString("R", CultureInfo.InvariantCulture), null);
        if (cell.Contains(',') && cell.Any(char.IsDigit) && !cell.Any(char.IsLetter)) return (null, $"“{DataLimits.Clip(cell, 60)}” can be read in more than one way; write numbers without thousands separators, as 1234.5 or 1234,5.");
        return (null, $"“{DataLimits.Clip(cell, 60)}” is not a number; write it as 0.25 or 0,25. Is “{column}” the right column?");
    }

    internal static double? Parse(string cell)
    {
        if (cell.Count(c => c == ',') == 1 && !cell.Contains('.')) cell = cell.Replace(',', '.');
        return double.TryParse(cell, NumberStyles.Float, CultureInfo.InvariantCulture, out var number) && double.IsFinite(number) ? number : null;
    }

    [GeneratedRegex(@"^[+-]?[1-9]\d{0,2}[.,]\d{3}$")]
    private static partial Regex Thousands();

    internal static double Value(string answer) => double.Parse(answer, CultureInfo.InvariantCulture);

    public override IEnumerable<string> Names(string answer) => [];

    public override string Show(string answer) => Say.Minus((Value(answer) + 0.0).ToString("G6", CultureInfo.InvariantCulture));

    public override string Spell(string answer, string text) => answer;

    public override string Meaning(string answer, string text) => (Value(answer) + 0.0).ToString("R", CultureInfo.InvariantCulture);

    /// Ten ranges with about as many rows each, fewer for few rows; equal values are in one.
    public override IReadOnlyList<string> Strata(IReadOnlyList<string> answers)
    {
        if (answers.Count == 0) return [];
        double[] values = [.. answers.Select(Value)], sorted = [.. values.Order()];
        var ranges = Math.Clamp(values.Length / 6, 1, 10);
        int Range(double value) => (int)((long)ranges * FirstAt(sorted, value) / sorted.Length);
        var ends = values.GroupBy(Range).ToDictionary(g => g.Key, g => string.Create(CultureInfo.InvariantCulture, $"{g.Key + 1:00}: {Say.Number(g.Min())} to {Say.Number(g.Max())}"));
        return [.. values.Select(v => ends[Range(v)])];
    }

    private static int FirstAt(double[] sorted, double value)
    {
        var at = Array.BinarySearch(sorted, value);
        while (at > 0 && sorted[at - 1] == value) at--;
        return at;
    }

    public override TrainingExample Example(long rowId, string text, string answer, IReadOnlyDictionary<string, int> labels) => new ScoredText(rowId, text, Value(answer));
}
