namespace FineTuneStudio.Engine.FewShot;

/// <summary>
/// How error falls with rows: <paramref name="A"/> + <paramref name="B"/> * rows^-<paramref name="C"/>, with A the error that no number of rows removes
/// (Cortes et al. 1993; Hestness et al. 2017, arXiv:1712.00409).
/// </summary>
public sealed record PowerLaw(double A, double B, double C)
{
    private const double Slowest = 0.02, Fastest = 3;

    public double ErrorAt(double rows) => A + B * Math.Pow(rows, -C);

    /// <summary>How many rows the law asks for an error; infinity where it never comes to it.</summary>
    public double RowsFor(double error) => error <= A || B <= 0 ? double.PositiveInfinity : Math.Pow(B / (error - A), 1 / C);

    /// <summary>
    /// The law with the least weighted squares whose A and B are not below 0 and whose C lies between 0.02 and 3. A and B follow from C in closed form, so that C
    /// alone is searched.
    /// </summary>
    /// <param name="points">At least one; with fewer than three different numbers of rows many laws fit the same.</param>
    public static PowerLaw Fit(IReadOnlyList<(double Rows, double Error, double Weight)> points)
    {
        // Rows are counted in their geometric mean, so that no power of them gets tiny.
        var unit = Math.Exp(points.Average(p => Math.Log(p.Rows)));
        (double A, double B, double Loss) At(double c)
        {
            double w = 0, x = 0, y = 0;
            foreach (var p in points)
            {
                var power = Math.Pow(p.Rows / unit, -c);
                (w, x, y) = (w + p.Weight, x + p.Weight * power, y + p.Weight * p.Error);
            }
            (x, y) = (x / w, y / w);
            double xx = 0, xy = 0, raw = 0, rawY = 0;
            foreach (var p in points)
            {
                var power = Math.Pow(p.Rows / unit, -c);
                xx += p.Weight * (power - x) * (power - x);
                xy += p.Weight * (power - x) * (p.Error - y);
                raw += p.Weight * power * power;
                rawY += p.Weight * power * p.Error;
            }
            var b = xx > 0 ? Math.Max(0, xy / xx) : 0;
            var a = y - b * x;
            if (a < 0) (a, b) = (0, Math.Max(0, rawY / raw));
            var loss = points.Sum(p => p.Weight * Math.Pow(p.Error - a - b * Math.Pow(p.Rows / unit, -c), 2));
            return (a, b, loss);
        }

        const int places = 60;
        double C(double place) => Slowest * Math.Pow(Fastest / Slowest, place / places);
        var best = Enumerable.Range(0, places + 1).MinBy(i => At(C(i)).Loss);
        // Golden section between the neighbours of the best place.
        var golden = (Math.Sqrt(5) - 1) / 2;
        double low = Math.Max(0, best - 1), high = Math.Min(places, best + 1);
        double one = high - golden * (high - low), two = low + golden * (high - low);
        double lossOne = At(C(one)).Loss, lossTwo = At(C(two)).Loss;
        for (var i = 0; i < 60; i++)
        {
            if (lossOne <= lossTwo)
            {
                (high, two, lossTwo) = (two, one, lossOne);
                lossOne = At(C(one = high - golden * (high - low))).Loss;
            }
            else
            {
                (low, one, lossOne) = (one, two, lossTwo);
                lossTwo = At(C(two = low + golden * (high - low))).Loss;
            }
        }
        var c = C((low + high) / 2);
        var (a, b, _) = At(c);
        return new(a, b * Math.Pow(unit, c), c);
    }
}
