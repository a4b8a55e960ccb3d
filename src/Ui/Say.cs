using System.Globalization;

namespace FineTuneStudio.Ui;

/// Numbers as a page says them: thousands separators, at most four significant digits, the same in every culture.
public static class Say
{
    public static string Count(long n) => n.ToString("N0", CultureInfo.InvariantCulture);

    public static string Count(long n, string noun) => $"{Count(n)} {noun}{(n == 1 ? "" : "s")}";

    public static string Number(double x)
    {
        if (!double.IsFinite(x)) return "–";
        if (x == 0) return "0";
        var size = Math.Abs(x);
        if (size is < 0.001 or >= 1e9) return x.ToString("0.###e-0", CultureInfo.InvariantCulture);
        if (size >= 1000) return x.ToString("N0", CultureInfo.InvariantCulture);
        return x.ToString("G4", CultureInfo.InvariantCulture);
    }

    public static string Percent(double share) => (100 * share).ToString("0.#", CultureInfo.InvariantCulture) + " %";

    public static string Bytes(long bytes) => bytes switch
    {
        >= 1 << 30 => Number(bytes / (double)(1 << 30)) + " GiB",
        >= 1 << 20 => Number(bytes / (double)(1 << 20)) + " MiB",
        >= 1 << 10 => Number(bytes / 1024.0) + " KiB",
        _ => Count(bytes, "byte"),
    };

    public static string Duration(TimeSpan time) => time.TotalSeconds switch
    {
        < 1 => "under a second",
        < 60 => $"{(int)time.TotalSeconds} s",
        < 3600 => $"{time.Minutes} min {time.Seconds} s",
        _ => $"{Count((long)time.TotalHours)} h {time.Minutes} min",
    };
}
