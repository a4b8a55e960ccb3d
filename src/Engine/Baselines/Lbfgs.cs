using System.Numerics;
using System.Runtime.InteropServices;

namespace FineTuneStudio.Engine.Baselines;

/// <summary>
/// Limited-memory BFGS (Liu and Nocedal 1989) for smooth functions without bounds, with a bisection line search for the
/// weak Wolfe conditions (Lewis and Overton 2013).
/// </summary>
static class Lbfgs
{
    const int Memory = 10;

    /// <summary>Moves <paramref name="x"/> to a minimum.</summary>
    /// <param name="function">Value at a point; writes the gradient into its second argument.</param>
    /// <param name="gradientTolerance">Stops when no component of the gradient is larger.</param>
    /// <param name="relativeTolerance">Stops when an iteration lowers the value by a smaller share.</param>
    /// <returns>The value at the end and the number of iterations.</returns>
    public static (double Value, int Iterations) Minimize(double[] x, Func<double[], double[], double> function, double gradientTolerance, double relativeTolerance, int maxIterations)
    {
        double[] gradient = new double[x.Length], point = new double[x.Length], newGradient = new double[x.Length], direction = new double[x.Length];
        LinkedList<(double[] Step, double[] Change, double Inverse)> history = [];
        double value = function(x, gradient);
        int iteration = 0;
        for (; iteration < maxIterations; iteration++)
        {
            if (Largest(gradient) <= gradientTolerance) break;
            Direction(gradient, history, direction);
            double slope = Dot(direction, gradient);
            double step = history.Count == 0 ? Math.Min(1, 1 / Math.Sqrt(Dot(gradient, gradient))) : 1;
            double low = 0, high = double.PositiveInfinity, newValue = value;
            bool found = false;
            for (int search = 0; search < 40; search++)
            {
                x.CopyTo(point, 0);
                AddScaled(point, step, direction);
                newValue = function(point, newGradient);
                if (!(newValue <= value + 1e-4 * step * slope)) high = step;
                else if (Dot(newGradient, direction) < 0.9 * slope) low = step;
                else { found = true; break; }
                step = double.IsPositiveInfinity(high) ? 2 * low : (low + high) / 2;
            }
            if (!found && !(newValue < value)) break;

            var oldest = history.Count == Memory ? history.First!.Value : (new double[x.Length], new double[x.Length], 0);
            if (history.Count == Memory) history.RemoveFirst();
            (double[] move, double[] change, _) = oldest;
            for (int i = 0; i < x.Length; i++)
            {
                move[i] = point[i] - x[i];
                change[i] = newGradient[i] - gradient[i];
            }
            double curvature = Dot(move, change);
            if (curvature > 1e-12 * Dot(change, change)) history.AddLast((move, change, 1 / curvature));
            double gain = (value - newValue) / Math.Max(Math.Max(Math.Abs(value), Math.Abs(newValue)), 1);
            point.CopyTo(x, 0);
            (gradient, newGradient, value) = (newGradient, gradient, newValue);
            if (gain < relativeTolerance) break;
        }
        return (value, iteration);
    }

    static void Direction(double[] gradient, LinkedList<(double[] Step, double[] Change, double Inverse)> history, double[] direction)
    {
        for (int i = 0; i < gradient.Length; i++) direction[i] = -gradient[i];
        Stack<double> alphas = [];
        for (var node = history.Last; node is not null; node = node.Previous)
        {
            double alpha = node.Value.Inverse * Dot(node.Value.Step, direction);
            AddScaled(direction, -alpha, node.Value.Change);
            alphas.Push(alpha);
        }
        if (history.Last is { } last)
        {
            double scale = 1 / (last.Value.Inverse * Dot(last.Value.Change, last.Value.Change));
            for (int i = 0; i < direction.Length; i++) direction[i] *= scale;
        }
        for (var node = history.First; node is not null; node = node.Next)
        {
            double beta = node.Value.Inverse * Dot(node.Value.Change, direction);
            AddScaled(direction, alphas.Pop() - beta, node.Value.Step);
        }
    }

    static double Largest(double[] values) => values.Max(Math.Abs);

    public static double Dot(ReadOnlySpan<double> a, ReadOnlySpan<double> b)
    {
        ReadOnlySpan<Vector<double>> left = MemoryMarshal.Cast<double, Vector<double>>(a), right = MemoryMarshal.Cast<double, Vector<double>>(b);
        Vector<double> sums = default;
        for (int i = 0; i < left.Length; i++) sums += left[i] * right[i];
        double sum = Vector.Sum(sums);
        for (int i = left.Length * Vector<double>.Count; i < a.Length; i++) sum += a[i] * b[i];
        return sum;
    }

    /// <summary>target += scale * values.</summary>
    public static void AddScaled(Span<double> target, double scale, ReadOnlySpan<double> values)
    {
        Span<Vector<double>> left = MemoryMarshal.Cast<double, Vector<double>>(target);
        ReadOnlySpan<Vector<double>> right = MemoryMarshal.Cast<double, Vector<double>>(values);
        Vector<double> factor = new(scale);
        for (int i = 0; i < left.Length; i++) left[i] += factor * right[i];
        for (int i = left.Length * Vector<double>.Count; i < target.Length; i++) target[i] += scale * values[i];
    }
}
