using System.Globalization;

namespace FineTuneStudio.Ui;

/// Numbers as every page says them: invariant, thousands separators, at most four significant digits.
public static class Figures
{
    private static readonly CultureInfo Culture = CultureInfo.InvariantCulture;

    public static string Score(double value) => double.IsFinite(value) ? value.ToString("0.000", Culture) : "not a number";

    public static string Signed(double value) => value.ToString("+0.000;−0.000;0.000", Culture);

    public static string Percent(double share) =>
        (share * 100) switch { var p when p == Math.Round(p) => p.ToString("0", Culture), var p when Math.Abs(p) < 1 => p.ToString("0.00", Culture), var p => p.ToString("0.0", Culture) } + " %";

    public static string Count(long value) => value.ToString("N0", Culture);

    public static string Count(long value, string one, string? many = null) => $"{Count(value)} {(value == 1 ? one : many ?? one + "s")}";

    public static string Short(double value) => Math.Abs(value) is >= 1000 and < 1e15 ? value.ToString("N0", Culture) : value.ToString("0.####", Culture) is var plain && value != 0 && Math.Abs(value) < 0.001 ? value.ToString("0.###e-0", Culture) : plain;
}
